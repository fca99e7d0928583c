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

// A slider and a number for one parameter; `label` is for the eye, `title` names it for everybody.
// turn(unit) is called with the new place on the knob, 0 to 1; reset() to go back to the values `start`.
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
  const written = Array.from({ length: 65 }, (_, i) => asNumber(spec, fromUnit(spec, i / 64)));
  number.style.setProperty("--letters", Math.max(...written.map((text) => text.length)));
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
