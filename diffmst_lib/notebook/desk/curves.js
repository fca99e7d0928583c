// The desk's curves: how an equalizer and a compressor act, drawn by the formulas that filter.

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
  const ground = draw("g", {}); // what each drawing makes anew
  root.append(ground);
  const path = (points) => `M${points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`;
  return {
    root, width, height,
    resize(newWidth) {
      this.width = newWidth;
      root.setAttribute("viewBox", `0 0 ${newWidth} ${height}`);
    },
    clear: () => ground.replaceChildren(),
    line: (points, name) => ground.append(draw("path", { class: name, d: path(points) })),
    text(x, y, text, anchor = "middle") {
      ground.append(draw("text", { x, y, "text-anchor": anchor }, text));
    },
  };
}

// A band's dot, above all lines. It stays while it is dragged.
function makeDot(band, label) {
  const circle = draw("circle", { class: "dm-dot", r: 8 }), text = draw("text", { class: "dm-dot-text" });
  const root = draw("g", { class: "dm-handle" });
  const help = "drag for frequency and gain (Shift: fine), wheel for Q, double-click for its start";
  root.append(draw("title", {}, `${label}: ${help}`), circle, text);
  return {
    root, band,
    place(x, y) {
      Object.assign(this, { x, y });
      circle.setAttribute("cx", x);
      circle.setAttribute("cy", y);
      text.setAttribute("x", x);
      text.setAttribute("y", y + 4);
    },
    write(marks) {
      text.textContent = marks;
      circle.setAttribute("r", 6 + 2 * Math.max(1, marks.length));
    },
  };
}

const SAME_PLACE = 4; // px: dots nearer than this share one mark

// The equalizer's frequency response, by the formula that filters, and a dot for each band at its frequency
// and gain. specs: {band: {frequency_hz, gain_db, q}}, rows of the parameter table. turn(band, {name: value})
// moves some of its knobs, reset(band) gives them back their values at the start.
function makeEqualizerCurve(owner, specs, labels, sampleRate, turn, reset) {
  const graph = makeGraph("dm-curve dm-equalizer", `Frequency response of ${owner}'s equalizer`, 600, 190);
  const left = 44, right = 12, top = 8, bottom = 22, lowHz = 20, highHz = Math.min(20000, sampleRate / 2);
  const bands = Object.keys(specs), ways = highHz / lowHz;
  const least = 6 + Math.max(...bands.map((band) => specs[band].gain_db.high)); // dB that the axis reaches
  let values = null, range = least, held = null; // held: the dot that is dragged, and where it would be
  const across = () => graph.width - left - right, down = graph.height - top - bottom;
  const x = (hz) => left + (across() * Math.log(hz / lowHz)) / Math.log(ways);
  const y = (db) => top + (down * (range - db)) / (2 * range);

  const dots = bands.map((band) => makeDot(band, labels[band]));
  graph.root.append(...dots.map(({ root }) => root));
  dots.forEach((dot) => {
    const wheel = (event) => {
      event.preventDefault(); // the page stays
      raise(dot);
      const up = -Math.sign(event.deltaY || event.deltaX); // with Shift it scrolls sideways
      const { low, high } = specs[dot.band].q;
      const q = values[`${dot.band}_q`] * 2 ** (up / (event.shiftKey ? 24 : 6));
      turn(dot.band, { q: Math.min(high, Math.max(low, q)) });
    };
    dot.root.addEventListener("wheel", wheel, { passive: false });
  });
  let touched = null; // the band of the last click
  graph.root.onpointerdown = (event) => {
    const dot = dots.find(({ root }) => root.contains(event.target));
    touched = dot?.band;
    if (!dot || event.button) return;
    event.preventDefault();
    graph.root.setPointerCapture(event.pointerId); // so every later event is the graph's
    held = { band: dot.band, client: [event.clientX, event.clientY], place: [dot.x, dot.y] };
    raise(dot);
  };
  graph.root.ondblclick = () => touched && reset(touched);
  graph.root.onpointermove = (event) => {
    if (!held) return;
    const fine = event.shiftKey ? 0.1 : 1, scale = (fine * graph.width) / graph.root.clientWidth;
    const client = [event.clientX, event.clientY];
    held.place = held.place.map((at, axis) => at + scale * (client[axis] - held.client[axis]));
    held.client = client;
    const hz = lowHz * ways ** ((held.place[0] - left) / across());
    const db = range - (2 * range * (held.place[1] - top)) / down;
    const within = ({ low, high }, value) => Number(Math.min(high, Math.max(low, value)).toFixed(2));
    const spec = specs[held.band];
    turn(held.band, { frequency_hz: within(spec.frequency_hz, hz), gain_db: within(spec.gain_db, db) });
  };
  graph.root.onpointerup = graph.root.onpointercancel = () => {
    held = null;
    if (values) show(values); // the axis may change now
  };

  // The dot that was touched last is on top. Where several are in one place, it has the marks of all.
  function raise(dot) {
    dots.push(...dots.splice(dots.indexOf(dot), 1));
    // The dot itself stays in the page: one that was taken out would get no click.
    dots.forEach((other) => other !== dot && graph.root.insertBefore(other.root, dot.root));
    mark();
  }
  function mark() {
    dots.forEach((dot, i) => {
      const here = dots.filter((other) => Math.hypot(other.x - dot.x, other.y - dot.y) < SAME_PLACE);
      const isTop = here.every((other) => dots.indexOf(other) <= i);
      const marks = bands.filter((band) => here.some((other) => other.band === band));
      dot.write(isTop ? marks.map((band) => BAND_MARKS[band]).join("") : "");
    });
  }

  function show(newValues) {
    values = newValues;
    graph.resize(Math.max(240, graph.root.clientWidth || 600));
    const { width, height } = graph;
    const count = Math.round(across() / 2);
    const frequencies = Array.from({ length: count + 1 }, (_, i) => lowHz * ways ** (i / count));
    const curve = frequencies.map((hz) => equalizerDb(values, hz, sampleRate));
    if (!held) range = Math.max(least, 6 * Math.ceil(Math.max(...curve.map(Math.abs)) / 6));
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
    graph.line(curve.map((db, k) => [x(frequencies[k]), y(db)]), "dm-line");
    dots.forEach((dot) => {
      dot.place(x(Math.min(highHz, values[`${dot.band}_frequency_hz`])), y(values[`${dot.band}_gain_db`]));
    });
    mark();
  }
  return { root: graph.root, show };
}

// The compressor's static curve with its make-up gain: level out for level in.
function makeCompressorCurve(owner) {
  const size = 190, left = 34, bottom = 30, high = 6, low = -60;
  const graph = makeGraph("dm-curve dm-square", `Static curve of ${owner}'s compressor`, size, size);
  const x = (db) => left + ((size - left - 6) * (db - low)) / (high - low);
  const y = (db) => size - bottom - ((size - bottom - 6) * (db - low)) / (high - low);
  return {
    root: graph.root,
    show(values) {
      graph.clear();
      for (let db = low; db <= 0; db += 20) {
        graph.line([[x(db), y(low)], [x(db), y(high)]], "dm-grid");
        graph.line([[x(low), y(db)], [x(high), y(db)]], "dm-grid");
        graph.text(x(db), size - bottom + 13, db ? `\u2212${-db}` : "0");
        if (db > low) graph.text(left - 4, y(db) + 4, db ? `\u2212${-db}` : "0", "end");
      }
      graph.text(x(-27), size - 3, "in \u2192 out, dBFS");
      graph.line([[x(low), y(low)], [x(high), y(high)]], "dm-axis dm-dotted");
      const points = Array.from({ length: 133 }, (_, k) => low + k / 2)
        .map((db) => [db, db + gainComputer(db, values) + values.makeup_gain_db])
        .filter(([, out]) => out <= high);
      graph.line(points.map(([db, out]) => [x(db), y(out)]), "dm-line");
    },
  };
}
