// The panel that shows the audio features of the mix as set, beside the reference's, and its loss.

const asDecibels = (level) => 20 * Math.log10(level);
// Rows of the table. `at` puts a value on its scale; ticks: values that are written there.
const linear = (low, high) => (value) => (value - low) / (high - low);
const LEVELS = { at: linear(-60, 0), ticks: [-60, -40, -20, 0], digits: 1 };
const CRESTS = { at: linear(0, 30), ticks: [0, 10, 20, 30], digits: 1 };
const FEATURE_ROWS = [
  { term: "rms", label: "RMS left", unit: "dBFS", read: ({ rms }) => asDecibels(rms[0]), ...LEVELS },
  { term: "rms", label: "RMS right", unit: "dBFS", read: ({ rms }) => asDecibels(rms[1]), ...LEVELS },
  { term: "crest_factor", label: "Crest left", unit: "dB", read: (all) => all.crest_factor[0], ...CRESTS },
  { term: "crest_factor", label: "Crest right", unit: "dB", read: (all) => all.crest_factor[1], ...CRESTS },
  {
    term: "stereo_width", label: "Width", unit: "", read: (features) => features.stereo_width,
    at: (width) => Math.sqrt(width / 4), ticks: [0, 0.25, 1, 4], digits: 3, // most music is below 0.25
  },
  {
    term: "stereo_imbalance", label: "Imbalance", unit: "", read: (features) => features.stereo_imbalance,
    at: linear(-1, 1), ticks: [-1, 0, 1], digits: 3,
  },
];

function makeScale({ at, ticks }, sources) {
  const place = (element, value) => (element.style.left = `${100 * clamp(at(value))}%`);
  const marks = Object.fromEntries(sources.map((name) => [name, make("span", `dm-mark dm-${name}`)]));
  const labels = ticks.map((value, i) => {
    const end = i === 0 || i === ticks.length - 1 ? " dm-end" : "";
    const tick = make("span", `dm-tick${end}`, { textContent: String(value).replace("-", "\u2212") });
    place(tick, value);
    return tick;
  });
  const root = make("div", "dm-scale", {}, [...labels, ...Object.values(marks)]);
  root.setAttribute("aria-hidden", "true"); // the numbers beside it say the same
  return { root, show: (name, value) => place(marks[name], value) };
}

const makeCell = (tag, content, properties = {}) => make(tag, "", properties, [content]);

// Two curves of 24 bands over frequency, in dB: 20 log10 of what the feature takes the logarithm of.
function makeBarkPlot(name, formula, edgesHz, sources) {
  const graph = makeGraph("dm-curve dm-bark", "", 400, 160);
  const left = 34, right = 10, top = 22, bottom = 22, lowHz = 20, highHz = 20000;
  const centers = edgesHz.slice(1, -1);
  const about = (levels) => { // for who cannot see the curves
    const average = (low, high) => {
      const bands = levels.filter((_, i) => centers[i] >= low && centers[i] < high);
      return (bands.reduce((sum, db) => sum + db, 0) / bands.length).toFixed(0);
    };
    const [low, middle, high] = [average(0, 250), average(250, 4000), average(4000, Infinity)];
    return `${low} below 250 Hz, ${middle} to 4 kHz, ${high} above`;
  };
  return {
    root: graph.root,
    // curves: {source: levels in dB}; [low, high]: the range of the axis
    show(curves, [low, high]) {
      const spoken = sources.map((source) => `${source} ${about(curves[source])}`).join("; ");
      const label = `Bark spectrum of the ${name}, ${formula}, in dB on average: ${spoken}`;
      graph.root.setAttribute("aria-label", label);
      graph.resize(Math.max(220, graph.root.clientWidth || 400));
      const { width, height } = graph;
      const x = (hz) => left + ((width - left - right) * Math.log(hz / lowHz)) / Math.log(highHz / lowHz);
      const y = (db) => top + ((height - top - bottom) * (high - db)) / (high - low);
      graph.clear();
      graph.text(left, 14, `${name[0].toUpperCase()}${name.slice(1)}, ${formula}: level in dB`, "start");
      for (let db = low; db <= high; db += 20) {
        graph.line([[left, y(db)], [width - right, y(db)]], "dm-grid");
        graph.text(left - 5, y(db) + 4, String(db), "end");
      }
      for (const [hz, text] of [[20, "20"], [100, "100"], [1000, "1k"], [10000, "10k Hz"]]) {
        graph.line([[x(hz), top], [x(hz), height - bottom]], "dm-grid");
        graph.text(x(hz), height - 6, text);
      }
      [...sources].reverse().forEach((source) => { // the mix on top
        graph.line(curves[source].map((db, i) => [x(centers[i]), y(db)]), `dm-line dm-${source}`);
      });
    },
  };
}

const AS_LOUD = "The mix is measured as loud as it plays, the reference as loud as the mix was at first; " +
  "\u201cEqual power\u201d brings the mix to the power of the reference.";

export class FeaturePanel {
  // again(equalPower): measure anew
  constructor({ reference, edges_hz }, again) {
    Object.assign(this, { reference, sources: reference ? ["mix", "reference"] : ["mix"] });
    const purpose = "Bring the mix to the power of the reference before it is measured";
    this.equal = makeButton("Equal power", purpose, () => {
      this.equalPower = !this.equalPower;
      press(this.equal, this.equalPower);
      again(this.equalPower);
    });
    this.equalPower = false;
    press(this.equal, false);
    const kinds = [["mid", "L + R"], ["side", "L \u2212 R"]];
    this.plots = kinds.map((texts) => makeBarkPlot(...texts, edges_hz, this.sources));
    this.note = make("small", "dm-note", { textContent: "Measuring \u2026" });
    const legend = this.sources.map((name) =>
      make("span", "dm-key", {}, [make("span", `dm-swatch dm-${name}`), name]));
    const title = make("strong", "", { textContent: "Audio features" });
    this.root = makeGroup("dm-panel dm-features", "Audio features", [
      make("div", "dm-head", {}, [
        title, make("span", "dm-legend", {}, legend), ...(reference ? [this.equal] : []),
      ]),
      this.makeTable(),
      make("div", "dm-barks", {}, this.plots.map(({ root }) => root)),
      this.note,
    ]);
  }

  makeTable() {
    const { sources, reference } = this;
    this.losses = {}; // term: its cell
    const lossCell = (term, rowSpan) => (this.losses[term] = makeCell("td", "", { rowSpan }));
    this.rows = FEATURE_ROWS.map((row, i) => {
      const name = makeCell("th", row.label, { scope: "row" });
      if (row.unit) name.append(make("small", "", { textContent: ` ${row.unit}` }));
      const scale = makeScale(row, sources);
      const numbers = Object.fromEntries(sources.map((source) => [source, makeCell("td", "")]));
      const cells = [name, makeCell("td", scale.root), ...Object.values(numbers)];
      const channels = FEATURE_ROWS.filter(({ term }) => term === row.term).length; // they share one term
      if (reference && FEATURE_ROWS[i - 1]?.term !== row.term) cells.push(lossCell(row.term, channels));
      return { ...row, numbers, scale, root: make("tr", "", {}, cells) };
    });
    const others = { bark_spectrum: "Bark bands, mid and side: below", total: "Total loss" };
    const sums = Object.entries(reference ? others : {}).map(([term, text]) => {
      const name = makeCell("th", text, { scope: "row", colSpan: 4 });
      return make("tr", `dm-${term}`, {}, [name, lossCell(term, 1)]);
    });
    const titles = ["Feature", "", "Mix", ...(reference ? ["Ref.", "Loss"] : [])];
    const head = titles.map((title) => makeCell("th", title, { scope: "col" }));
    return make("table", "", {}, [
      make("thead", "", {}, [make("tr", "", {}, head)]),
      make("tbody", "", {}, [...this.rows.map(({ root }) => root), ...sums]),
    ]);
  }

  busy(isBusy) {
    this.root.setAttribute("aria-busy", String(isBusy));
  }

  fail(message) {
    this.note.textContent = `No features: ${message}`;
  }

  show({ features, loss, gainDb }, equalPower) {
    this.shown = features;
    const all = { mix: features, reference: this.reference };
    for (const { read, digits, numbers, scale } of this.rows)
      for (const name of this.sources) {
        const value = read(all[name]);
        numbers[name].textContent = signed(value, digits);
        scale.show(name, value);
      }
    for (const [term, cell] of Object.entries(this.losses)) cell.textContent = loss[term].toFixed(4);
    this.draw();
    const way = `${Math.abs(gainDb).toFixed(1)} dB ${gainDb < 0 ? "softer" : "louder"} than it plays`;
    const equal = gainDb === null
      ? "A mix as soft as this one cannot be brought to the power of the reference: " +
        "it is measured as it plays."
      : `The mix is measured ${way}: at the power of the reference.`;
    this.note.textContent = equalPower ? equal : this.reference ? AS_LOUD : "";
  }

  draw() {
    if (!this.shown) return;
    const bands = { mix: this.shown, reference: this.reference };
    const curves = [0, 1].map((k) => Object.fromEntries(this.sources.map(
      (name) => [name, bands[name].bark_spectrum[k].map((level) => (20 / Math.LN10) * level)])));
    const levels = curves.flatMap((both) => Object.values(both).flat());
    const high = 20 * Math.max(4, Math.ceil(Math.max(...levels) / 20));
    this.plots.forEach((plot, k) => plot.show(curves[k], [0, high]));
  }
}
