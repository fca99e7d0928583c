// The desk's parts: knobs, meters and curves. Each knows how to draw itself and nothing of the rest.

const METER_FLOOR_DB = -60;
const DOT_PITCH = 18; // px between the centers of two dots that do not touch
const SVG = "http://www.w3.org/2000/svg";
const BAND_MARKS = { low_shelf: "L", peak_1: "1", peak_2: "2", peak_3: "3", peak_4: "4", high_shelf: "H" };
const { equalizerDb, gainComputer } = makeDsp();

const make = (tag, className = "", properties = {}, children = []) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.className = className;
  element.append(...children);
  // JupyterLab has shortcuts on arrows and letters: not while a control of ours has the focus.
  element.dataset.lmSuppressShortcuts = "true";
  return element;
};
const makeButton = (text, label, onclick, className = "") => {
  const button = make("button", className, { type: "button", textContent: text, onclick });
  button.setAttribute("aria-label", label);
  return button;
};
const press = (button, on) => button.setAttribute("aria-pressed", String(on));
const makeGroup = (className, label, children) => {
  const group = make("div", className, {}, children);
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", label);
  return group;
};
const draw = (tag, attributes, text = "") => {
  const element = document.createElementNS(SVG, tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.textContent = text;
  return element;
};

// A slider and a number for one parameter; `label` is for the eye, `title` names it for everybody.
// turn(unit) is called with the new place on the knob, 0 to 1; reset() to go back to the values `start` of the tracks.
function makeKnob(spec, { label, title, start, vertical = false }, turn, reset) {
  const log = spec.scale === "log";
  const step = log ? 0.005 : spec.unit === "dB" ? (spec.high - spec.low > 40 ? 0.5 : 0.1) : 0.01;
  const [min, max] = log ? [0, 1] : [spec.low, spec.high];
  const slider = make("input", vertical ? "dm-vertical" : "", { type: "range", min, max, step });
  slider.oninput = () => turn(log ? slider.valueAsNumber : toUnit(spec, slider.valueAsNumber));
  slider.ondblclick = reset;
  const home = [...new Set(start.map((value) => asText(spec, value)))].join(" and ");
  slider.title = `${asText(spec, spec.low)} to ${asText(spec, spec.high)}; double-click: ${home}`;
  const number = make("input", "dm-number", { type: "number", min: spec.low, max: spec.high, step: "any" });
  let shown = NaN; // so that leaving the field untouched does not round the value
  number.onchange = () => {
    if (Number.isFinite(number.valueAsNumber)) turn(toUnit(spec, number.valueAsNumber));
    else number.value = asNumber(spec, shown);
  };
  const unit = spec.unit ? ` in ${spec.unit === ":1" ? "to 1" : spec.unit}` : "";
  slider.setAttribute("aria-label", `${title}${unit}`);
  number.setAttribute("aria-label", `${title}${unit}, as a number`);
  const pair = make("small", "dm-pair");
  const field = make("span", "dm-field", {}, [number, make("span", "dm-unit", { textContent: spec.unit })]);
  return {
    slider, field, pair,
    root: make("div", "dm-knob", {}, [make("span", "dm-label", { textContent: label }), field, slider, pair]),
    // values: of each track of the strip; center: the one value that the knob shows
    show(values, center) {
      shown = center;
      const differ = values.some((value) => value !== values[0]);
      slider.value = log ? toUnit(spec, center) : center;
      const spoken = (differ ? values : [center]).map((value) => asText(spec, value));
      slider.setAttribute("aria-valuetext", spoken.join(" and "));
      number.value = asNumber(spec, center);
      const sides = values.map((value, i) => `${"LR"[i]} ${asNumber(spec, value).replace("-", "\u2212")}`);
      pair.replaceChildren(...(differ ? sides.map((side) => make("span", "", { textContent: side })) : []));
    },
  };
}

// What a meter fills: for the eye only.
function makeBar(level) {
  const bar = make("div", "dm-meter", {}, [level]);
  bar.setAttribute("aria-hidden", "true"); // as a property it does nothing in older browsers
  return bar;
}

// A bar that shows a peak from -60 to 0 dBFS and falls slowly enough to be read.
function makeMeter() {
  const level = make("div", "dm-level");
  let shown = 0;
  return {
    root: makeBar(level),
    show(peak) {
      shown = Math.max(peak, 0.88 * shown);
      const height = shown > 0 ? 1 - (20 * Math.log10(shown)) / METER_FLOOR_DB : 0;
      level.style.height = `${100 * clamp(height)}%`;
      level.classList.toggle("dm-over", shown > 1);
    },
    clear() {
      shown = 0;
      this.show(0);
    },
  };
}

function makeGraph(className, label, width, height) {
  const root = draw("svg", { class: className, role: "img", "aria-label": label, viewBox: `0 0 ${width} ${height}` });
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
      const frequencies = Array.from({ length: count + 1 }, (_, i) => lowHz * (highHz / lowHz) ** (i / count));
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

// How far the compressor turns the sound down at the moment.
function makeReductionMeter() {
  const bar = make("div", "dm-level"), text = make("span", "dm-value", { textContent: "0.0 dB" });
  return {
    root: make("div", "dm-reduction", {}, [
      make("span", "", { textContent: "Gain reduction" }), makeBar(bar), text,
    ]),
    show(db) {
      bar.style.width = `${100 * clamp(-db / 30)}%`; // the whole bar: 30 dB
      text.textContent = `${db < -0.05 ? "\u2212" : ""}${Math.abs(db).toFixed(1)} dB`;
    },
  };
}
