// The desk's knobs, buttons and meters. Each knows how to draw itself and nothing of the rest.

const METER_FLOOR_DB = -60;

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

// A field for one parameter's number. turn(value) is called with a new one. `off`: whether the lowest value
// is off, which no number can write.
function makeNumber(spec, title, turn, off = false) {
  const input = make("input", "dm-number", { type: "number", min: spec.low, max: spec.high, step: "any" });
  const written = Array.from({ length: 65 }, (_, i) => asNumber(spec, fromUnit(spec, i / 64)));
  input.style.setProperty("--letters", Math.max(...written.map((text) => text.length)));
  input.setAttribute("aria-label", `${title}${spokenUnit(spec)}, as a number`);
  if (off) input.placeholder = "\u2212\u221e";
  let shown = NaN; // so that leaving the field untouched does not round the value
  const show = (value) => {
    shown = value;
    input.value = off && value <= spec.low ? "" : asNumber(spec, value);
    delete input.dataset.typed;
  };
  input.oninput = () => (input.dataset.typed = ""); // not yet a value: Ctrl+Z is the field's own
  input.onchange = () => {
    const value = input.valueAsNumber;
    if (Number.isFinite(value)) turn(Math.min(spec.high, Math.max(spec.low, value)));
    else show(shown);
  };
  const unit = make("span", "dm-unit", { textContent: spec.unit });
  return { root: make("span", "dm-field", {}, [input, unit]), show };
}
const spokenUnit = ({ unit }) => (unit ? ` in ${unit === ":1" ? "to 1" : unit}` : "");

// A slider and a number for one parameter; `label` is for the eye, `title` names it for everybody.
// turn(value) is called with the new value; reset() to go back to `start`.
function makeKnob(spec, { label, title, start }, turn, reset) {
  const log = spec.scale === "log";
  const step = log ? 0.005 : spec.unit === "dB" ? (spec.high - spec.low > 40 ? 0.5 : 0.1) : 0.01;
  const [min, max] = log ? [0, 1] : [spec.low, spec.high];
  const slider = make("input", "", { type: "range", min, max, step });
  slider.oninput = () => turn(log ? fromUnit(spec, slider.valueAsNumber) : slider.valueAsNumber);
  slider.ondblclick = reset;
  const range = `${asText(spec, spec.low)} to ${asText(spec, spec.high)}`;
  slider.title = `${range}; double-click: ${asText(spec, start)}`;
  slider.setAttribute("aria-label", `${title}${spokenUnit(spec)}`);
  const number = makeNumber(spec, title, turn);
  const name = make("span", "dm-label", { textContent: label });
  return {
    root: make("div", "dm-knob", {}, [name, number.root, slider]),
    show(value) {
      slider.value = log ? toUnit(spec, value) : value;
      slider.setAttribute("aria-valuetext", asText(spec, value));
      number.show(value);
    },
  };
}

// Where a fader stands for a level: [dB, height], in straight lines. As on a desk, most of the way is near 0.
const TAPERS = {
  fader_db: [[-60, 0], [-50, 0.05], [-40, 0.12], [-30, 0.22], [-20, 0.36], [-10, 0.55], [0, 0.77], [12, 1]],
  output_gain_db: [[-48, 0], [-24, 0.12], [-12, 0.3], [0, 0.55], [12, 0.8], [24, 0.92], [48, 1]],
};
const FADER_MARKS = {
  fader_db: [12, 5, 0, -5, -10, -20, -30, -40, -60], output_gain_db: [48, 24, 12, 6, 0, -6, -12, -24, -48],
};
const bend = (points, value, from, to) => {
  const next = Math.max(1, points.findIndex((point) => point[from] >= value));
  const [a, b] = [points[next - 1], points[next]];
  return a[to] + ((value - a[from]) / (b[from] - a[from])) * (b[to] - a[to]);
};
export const faderHeight = (name, db) => bend(TAPERS[name], db, 0, 1);
export const faderLevel = (name, height) => bend(TAPERS[name], clamp(height), 1, 0);

// An upright fader with a scale. Shift makes it ten times as fine, for the mouse and for the keys.
function makeFader(spec, { title, start }, turn, reset) {
  const { name, low, high } = spec, off = name === "fader_db";
  const spoken = (db) => (off && db <= low ? "off" : asText(spec, db));
  const cap = make("span", "dm-cap");
  const marks = FADER_MARKS[name].map((db) => {
    const text = off && db === low ? "\u221e" : String(Math.abs(db));
    const number = make("span", "", { textContent: text });
    const mark = make("span", `dm-mark-db${db ? "" : " dm-unity"}`, {}, [number]);
    mark.style.setProperty("--height", faderHeight(name, db));
    return mark;
  });
  const scale = make("span", "dm-scale-db", {}, marks);
  scale.setAttribute("aria-hidden", "true");
  const root = make("div", "dm-fader", { tabIndex: 0 }, [scale, cap]);
  const attributes = {
    role: "slider", "aria-orientation": "vertical", "aria-label": `${title}${spokenUnit(spec)}`,
    "aria-valuemin": low, "aria-valuemax": high,
  };
  Object.entries(attributes).forEach(([key, value]) => root.setAttribute(key, value));
  root.title = `${spoken(low)} to ${asText(spec, high)}; Shift: fine; double-click: ${spoken(start)}`;
  let shown = 0, held = null; // held: where the pointer is, and where the fader would be without rounding
  const set = (db, fine) => {
    const value = Math.min(high, Math.max(low, Number(db.toFixed(fine ? 2 : 1))));
    if (value !== shown) turn(value);
  };
  const travel = () => root.clientHeight - cap.offsetHeight;
  root.onpointerdown = (event) => {
    if (event.button) return;
    event.preventDefault(); // or the page would select text
    root.focus();
    root.setPointerCapture(event.pointerId);
    held = { y: event.clientY, height: faderHeight(name, shown) };
    if (event.target === cap || event.shiftKey) return;
    const bottom = root.getBoundingClientRect().bottom - cap.offsetHeight / 2;
    held.height = clamp((bottom - event.clientY) / travel());
    set(faderLevel(name, held.height));
  };
  root.onpointermove = (event) => {
    if (!held) return;
    held.height += ((held.y - event.clientY) / travel()) * (event.shiftKey ? 0.1 : 1);
    held.y = event.clientY;
    set(faderLevel(name, held.height), event.shiftKey);
  };
  root.onpointerup = root.onpointercancel = () => (held = null);
  root.ondblclick = reset;
  root.onkeydown = (event) => {
    const { key, shiftKey } = event, step = shiftKey ? 0.1 : 0.5;
    const to = {
      ArrowUp: shown + step, ArrowRight: shown + step, ArrowDown: shown - step, ArrowLeft: shown - step,
      PageUp: shown + 3, PageDown: shown - 3, Home: low, End: high,
    }[key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    set(to, true);
  };
  const number = makeNumber(spec, title, turn, off);
  return {
    root, field: number.root,
    show(db) {
      shown = db;
      cap.style.setProperty("--height", faderHeight(name, db));
      root.setAttribute("aria-valuenow", db);
      root.setAttribute("aria-valuetext", spoken(db));
      number.show(db);
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

// The correlation of left and right: a mark between -1 and 1, and its number.
function makeCorrelationMeter() {
  const mark = make("span", "dm-correlation-mark"), text = make("span", "dm-value");
  const bar = make("span", "dm-correlation-bar", {}, [mark]);
  bar.setAttribute("aria-hidden", "true");
  const title = "Correlation of left and right: \u22121 opposite, 0 nothing in common, 1 mono";
  const name = make("span", "", { textContent: "Corr." });
  return {
    root: make("span", "dm-correlation", { title }, [name, bar, text]),
    show(value) {
      const known = Number.isFinite(value);
      mark.style.left = `${50 + 50 * (known ? value : 0)}%`;
      mark.hidden = !known;
      text.textContent = known ? signed(value, 2) : "\u2013";
    },
  };
}

// Loudness and correlation of what is heard, and its peak. others: {name: {lufs, correlation, gain}} of what plays
// besides the mix, with its gain before the mix is measured; listening() says which.
function makeLevelDisplay(others, listening) {
  const lufs = make("span", "dm-value dm-lufs"), correlation = makeCorrelationMeter();
  const peak = make("span", "dm-peak", { textContent: "peak \u2013 dBFS" });
  const clip = make("span", "dm-clip", { textContent: "CLIP" });
  const root = make("span", "dm-levels", {}, [lufs, correlation.root, peak, clip]);
  const gains = Object.fromEntries(Object.entries(others).map(([name, other]) => [name, other.gain ?? 1]));
  let mix = { lufs: NaN, correlation: NaN };
  return {
    root,
    // With this factor another sound is as loud as the mix, or as it was before the mix fell silent.
    gainOf: (name) => gains[name],
    show(measured = mix) {
      mix = measured;
      for (const [name, other] of Object.entries(others)) {
        if (other.lufs !== null && Number.isFinite(mix.lufs))
          gains[name] = 10 ** ((mix.lufs - other.lufs) / 20);
      }
      const silent = mix.lufs === -Infinity ? "\u2212\u221e" : "\u2013";
      lufs.textContent = `${Number.isFinite(mix.lufs) ? signed(mix.lufs, 1) : silent} LUFS`;
      correlation.show((others[listening()] ?? mix).correlation);
    },
    showPeak(highest) {
      if (highest > 0) peak.textContent = `peak ${signed(20 * Math.log10(highest), 1)} dBFS`;
      clip.classList.toggle("dm-on", highest > 1);
    },
    busy: (isBusy) => root.setAttribute("aria-busy", String(isBusy)),
  };
}
