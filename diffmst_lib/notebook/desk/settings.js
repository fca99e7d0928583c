// Settings: the JSON of ConsoleParams, its ranges, and what sounds of it.

const clamp = (u) => Math.min(1, Math.max(0, u));

// The place of a value on its knob, 0 to 1, and back; specs are rows of the library's parameter table.
export function toUnit({ low, high, scale }, value) {
  return clamp(scale === "log" ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
}
export function fromUnit({ low, high, scale }, unit) {
  const value = scale === "log" ? low * (high / low) ** clamp(unit) : low + clamp(unit) * (high - low);
  return Number(Math.min(high, Math.max(low, value)).toFixed(6)); // as many digits as the JSON has
}

function digits({ unit }, value) {
  if (unit === "Hz" || unit === "ms") return value < 100 ? 1 : 0;
  return unit === "dB" ? 1 : 2;
}
const rounded = (value, digits) => value.toFixed(digits).replace(/^-(0(\.0+)?)$/, "$1"); // no minus zero
const signed = (value, digits) => rounded(value, digits).replace("-", "\u2212");
export const asNumber = (spec, value) => rounded(value, digits(spec, value));
export const asText = (spec, value) =>
  `${asNumber(spec, value).replace("-", "\u2212")}${spec.unit ? ` ${spec.unit}` : ""}`.replace(" :1", ":1");

// Returns the settings that a text holds, or throws an Error of one line that says what is wrong with it.
export function readSettings(text, { strips, specs, sample_rate, initial: { format, version, preset } }) {
  const names = strips.map(({ name }) => name);
  const fail = (reason) => {
    throw new Error(`not this console's JSON: ${reason.replace(/\s+/g, " ")}`);
  };
  const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
  const readStrip = (label, values, table) => {
    if (values === undefined) fail(`${label} is missing`);
    if (!isObject(values)) fail(`${label} is no set of parameters`);
    const unknown = Object.keys(values).find((name) => !table.some((spec) => spec.name === name));
    if (unknown !== undefined) fail(`${label} has no parameter ${JSON.stringify(unknown)}`);
    for (const { name, unit, low, high } of table) {
      const value = values[name];
      if (value === undefined) fail(`${label}: ${name} is missing`);
      if (typeof value !== "number") fail(`${label}: ${name} is ${JSON.stringify(value)}, not a number`);
      // 32-bit floats may put a range end just outside.
      const slack = 1e-6 * Math.max(Math.abs(low), Math.abs(high));
      if (!(value >= low - slack && value <= high + slack))
        fail(`${label}: ${name} = ${value}${unit && ` ${unit}`} is outside ${low} to ${high}`);
    }
    const inside = ({ name, low, high }) => [name, Math.min(high, Math.max(low, values[name]))];
    return Object.fromEntries(table.map(inside));
  };

  let data;
  try {
    data = JSON.parse(text);
  } catch (error) {
    fail(error.message);
  }
  if (!isObject(data) || !isObject(data.tracks)) fail("tracks are missing");
  if (data.sections !== undefined) fail("it holds a console for each section, this desk takes one");
  if (data.version !== version)
    fail(`its version is ${JSON.stringify(data.version)}, this desk reads ${version}`);
  if (data.preset !== preset)
    fail(`its preset is ${JSON.stringify(data.preset)}, this desk plays ${JSON.stringify(preset)}`);
  if (data.sample_rate !== sample_rate)
    fail(`it is for ${data.sample_rate} Hz, the song is at ${sample_rate} Hz`);
  const stranger = Object.keys(data.tracks).find((name) => !names.includes(name));
  if (stranger !== undefined)
    fail(`there is no track ${JSON.stringify(stranger)} here, but ${names.join(", ")}`);
  const tracks = names.map((name) => [name, readStrip(`track ${name}`, data.tracks[name], specs.track)]);
  return {
    format, version, preset, sample_rate,
    tracks: Object.fromEntries(tracks),
    fx_bus: readStrip("fx_bus", data.fx_bus, specs.fx_bus),
    master_bus: readStrip("master_bus", data.master_bus, specs.master_bus),
  };
}

// The knobs as the audio thread takes them: a bypassed effect is neutral, a silent strip off.
export function soundingValues({ setup, settings, muted, soloed, bypassed }) {
  const { strips, bypass } = setup;
  const withBypass = (values, owner) =>
    bypassed.reduce((all, [name, effect]) => (name === owner ? { ...all, ...bypass[effect] } : all), values);
  const tracks = strips.map(({ name }) => {
    const on = !muted.includes(name) && (!soloed.length || soloed.includes(name)) ? 1 : 0;
    return { ...withBypass(settings.tracks[name], name), on };
  });
  return { tracks, master_bus: withBypass(settings.master_bus, "master_bus") };
}

// What the desk does not play, as a text: the effects bus (a send's lowest value is off), and the effects of a
// registered console where they do something.
export function notPlayed({ setup, settings }) {
  const owners = [
    ...setup.strips.map(({ name }) => [name, settings.tracks[name], setup.specs.track]),
    ["the master", settings.master_bus, setup.specs.master_bus],
  ];
  const where = (isTurned, effect) => owners
    .filter(([, values, specs]) => specs.some((spec) => spec.effect === effect && isTurned(spec, values)))
    .map(([name]) => name);
  const isSent = ({ name, low }, values) => values[name] > low;
  const isOn = ({ name, neutral }, values) =>
    Math.abs(values[name] - neutral) > 1e-5 * Math.max(1, Math.abs(neutral));
  return [
    ["Sent to the effects bus, which the desk does not play", where(isSent, "fx_bus")],
    ...[...new Set(setup.own_effects)].map((effect) => [
      `Turned on in the ${effect}, which the desk does not play`, where(isOn, effect),
    ]),
  ].filter(([, names]) => names.length)
    .map(([text, names]) => `${text}: ${names.join(", ")}. desk.mix() renders it. `).join("");
}
