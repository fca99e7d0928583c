// The desk's curves: how an equalizer and a compressor act, drawn by the formulas that filter.

const DOT_PITCH = 18; // px between the centers of two dots that do not touch
const SVG = "http://www.w3.org/2000/svg";
const BAND_MARKS = { low_shelf: "L", peak_1: "1", peak_2: "2", peak_3: "3", peak_4: "4", high_shelf: "H" };
const { equalizerDb, gainComputer } = makeDsp();

const draw = (tag, attributes, text = "") => {
  const element = document.createElementNS(SVG, tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.textContent = text;
  return element;
};

function makeGraph(className, label, width, height) {
  const viewBox = `0 0 ${width} ${height}`;
  const root = draw("svg", { class: className, role: "img", "aria-label": label, viewBox });
  const path = (points) => `M${points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`;
  return {
    root, width, height,
    resize(newWidth) {
      this.width = newWidth;
      root.setAttribute("viewBox", `0 0 ${newWidth} ${height}`);
    },
    clear: () => root.replaceChildren(),
    line: (points, name) => root.append(draw("path", { class: name, d: path(points) })),
    dot(x, y, text) {
      root.append(draw("circle", { class: "dm-dot", cx: x, cy: y, r: 8 }));
      root.append(draw("text", { class: "dm-dot-text", x, y: y + 4 }, text));
    },
    text: (x, y, text, anchor = "middle") => root.append(draw("text", { x, y, "text-anchor": anchor }, text)),
  };
}

// The equalizer's frequency response, by the formula that filters; one line for each track of the strip.
function makeEqualizerCurve(owner, bands, sampleRate) {
  const graph = makeGraph("dm-curve", `Frequency response of ${owner}'s equalizer`, 600, 190);
  const left = 44, right = 12, top = 8, bottom = 22, lowHz = 20, highHz = Math.min(20000, sampleRate / 2);
  return {
    root: graph.root,
    show(strips) {
      graph.resize(Math.max(240, graph.root.clientWidth || 600));
      const { width, height } = graph;
      const x = (hz) => left + ((width - left - right) * Math.log(hz / lowHz)) / Math.log(highHz / lowHz);
      const count = Math.round((width - left - right) / 2);
      const steps = Array.from({ length: count + 1 }, (_, i) => i / count);
      const frequencies = steps.map((step) => lowHz * (highHz / lowHz) ** step);
      const curves = strips.map((values) => frequencies.map((hz) => equalizerDb(values, hz, sampleRate)));
      const range = 6 * Math.max(3, Math.ceil(Math.max(...curves.flat().map(Math.abs)) / 6));
      const y = (db) => top + ((height - top - bottom) * (range - db)) / (2 * range);
      graph.clear();
      for (let db = -range; db <= range; db += range > 24 ? 12 : 6) {
        graph.line([[left, y(db)], [width - right, y(db)]], db ? "dm-grid" : "dm-axis");
        graph.text(left - 6, y(db) + 4, db ? `${db > 0 ? "+" : "\u2212"}${Math.abs(db)}` : "0 dB", "end");
      }
      for (const hz of [50, 100, 200, 500, 1000, 2000, 5000, 10000]) {
        graph.line([[x(hz), top], [x(hz), height - bottom]], "dm-grid");
        const text = hz < 1000 ? `${hz}${hz === 100 ? " Hz" : ""}` : `${hz / 1000} k`;
        if (width > 500 || /^1/.test(text)) graph.text(x(hz), height - 6, text);
      }
      curves.forEach((curve, i) => {
        graph.line(curve.map((db, k) => [x(frequencies[k]), y(db)]), `dm-line${i ? " dm-second" : ""}`);
      });
      if (strips.length > 1) graph.text(width - right - 4, top + 12, "dashed: right", "end");
      // Bands at one frequency: their dots stand in a column, from the curve to where there is room.
      const placed = [];
      bands.forEach((band) => {
        const hz = Math.min(highHz, strips[0][`${band}_frequency_hz`]);
        const at = [x(hz), y(equalizerDb(strips[0], hz, sampleRate))];
        const free = (px, py) => placed.every(([ox, oy]) => Math.hypot(px - ox, py - oy) >= DOT_PITCH);
        const rows = bands.flatMap((_, k) => [at[1] - k * DOT_PITCH, at[1] + k * DOT_PITCH]);
        const row = rows.find((py) => py > top && py < height - bottom && free(at[0], py)) ?? at[1];
        placed.push([at[0], row]);
        graph.dot(at[0], row, BAND_MARKS[band]);
      });
    },
  };
}

// The compressor's static curve with its make-up gain: level out for level in.
function makeCompressorCurve(owner) {
  const size = 190, left = 34, bottom = 30, high = 6, low = -60;
  const graph = makeGraph("dm-curve dm-square", `Static curve of ${owner}'s compressor`, size, size);
  const x = (db) => left + ((size - left - 6) * (db - low)) / (high - low);
  const y = (db) => size - bottom - ((size - bottom - 6) * (db - low)) / (high - low);
  return {
    root: graph.root,
    show(strips) {
      graph.clear();
      for (let db = low; db <= 0; db += 20) {
        graph.line([[x(db), y(low)], [x(db), y(high)]], "dm-grid");
        graph.line([[x(low), y(db)], [x(high), y(db)]], "dm-grid");
        graph.text(x(db), size - bottom + 13, db ? `\u2212${-db}` : "0");
        if (db > low) graph.text(left - 4, y(db) + 4, db ? `\u2212${-db}` : "0", "end");
      }
      graph.text(x(-27), size - 3, "in \u2192 out, dBFS");
      graph.line([[x(low), y(low)], [x(high), y(high)]], "dm-axis dm-dotted");
      if (strips.length > 1) graph.text(size - 10, y(low) - 8, "dashed: right", "end");
      strips.forEach((values, i) => {
        const points = Array.from({ length: 133 }, (_, k) => low + k / 2)
          .map((db) => [db, db + gainComputer(db, values) + values.makeup_gain_db])
          .filter(([, out]) => out <= high);
        graph.line(points.map(([db, out]) => [x(db), y(out)]), `dm-line${i ? " dm-second" : ""}`);
      });
    },
  };
}
