// The mixing desk. anywidget runs it in a live notebook, where `model` talks to Python; on a static page
// renderStatic() gives it a PageModel instead, with the audio in the page. Ranges, units and what is neutral
// come with the state, from the library's parameter table.

const MASTER = "master_bus";
const BAND_LABELS = {
  low_shelf: "Low shelf", peak_1: "Peak 1", peak_2: "Peak 2", peak_3: "Peak 3", peak_4: "Peak 4",
  high_shelf: "High shelf",
};
const KNOB_LABELS = {
  input_gain_db: "Input gain", output_gain_db: "Output gain", threshold_db: "Threshold", ratio: "Ratio",
  attack_ms: "Attack", release_ms: "Release", knee_db: "Knee", makeup_gain_db: "Make-up", pan: "Pan",
};
// For the eye, and spoken after the band's name.
const BAND_KNOBS = { gain_db: ["Gain", "gain"], frequency_hz: ["Freq.", "frequency"], q: ["Q", "Q"] };
const EFFECT_LABELS = { eq: "Equalizer", compressor: "Compressor" };

function render({ model, el }) {
  const get = (key) => model.get(key);
  const setup = get("setup");
  const has = (control) => setup.controls.includes(control);
  const effects = ["eq", "compressor"].filter(has);
  const state = () =>
    Object.fromEntries(["setup", "settings", "muted", "soloed", "bypassed"].map((key) => [key, get(key)]));
  const change = (key, value) => {
    model.set(key, value);
    model.save_changes();
  };

  // --- knobs: one strip shows the middle of its tracks and moves them together ---

  const owners = setup.strips.map(({ name, rows }) => ({
    id: name, name, table: setup.specs.track,
    strips: (settings) => rows.map((row) => settings.tracks[setup.names[row]]),
  }));
  const master = {
    id: MASTER, name: "Master", table: setup.specs.master_bus, strips: (settings) => [settings.master_bus],
  };
  // ["owner", "knob"] -> {unit, offsets}: kept, so that a pair that a range end has stopped spreads again
  const centers = new Map();
  const centerOf = (owner, spec) => {
    const units = owner.strips(get("settings")).map((values) => toUnit(spec, values[spec.name]));
    const key = JSON.stringify([owner.id, spec.name]);
    const kept = centers.get(key);
    const holds = (unit, i) => Math.abs(clamp(kept.unit + kept.offsets[i]) - unit) < 1e-5;
    if (kept && units.every(holds)) return kept;
    const unit = units.reduce((sum, u) => sum + u, 0) / units.length;
    centers.set(key, { unit, offsets: units.map((u) => u - unit) });
    return centers.get(key);
  };
  const turn = (owner, spec, unit) => {
    const { offsets } = centerOf(owner, spec);
    centers.set(JSON.stringify([owner.id, spec.name]), { unit: clamp(unit), offsets });
    put(owner, spec, offsets.map((offset) => fromUnit(spec, clamp(unit) + offset)));
  };
  const put = (owner, spec, values) => {
    const settings = structuredClone(get("settings"));
    owner.strips(settings).forEach((strip, i) => (strip[spec.name] = values[i]));
    change("settings", settings);
  };
  const knobOf = (owner, name, options = {}) => {
    const spec = owner.table.find((row) => row.name === name);
    const label = options.label ?? KNOB_LABELS[name];
    const texts = { title: `${label} of ${owner.name}`, label: options.short ?? label };
    const start = owner.strips(setup.initial).map((strip) => strip[name]);
    const knob = makeKnob(spec, { ...options, ...texts, start }, (unit) => turn(owner, spec, unit),
      () => put(owner, spec, start));
    const show = () => {
      const values = owner.strips(get("settings")).map((strip) => strip[name]);
      const equal = values.every((value) => value === values[0]);
      knob.show(values, equal ? values[0] : fromUnit(spec, centerOf(owner, spec).unit));
    };
    return { ...knob, spec, show };
  };

  // --- strips ---

  const toggled = (list, item) => {
    const same = (other) => JSON.stringify(other) === JSON.stringify(item);
    return list.some(same) ? list.filter((other) => !same(other)) : [...list, item];
  };
  let selected = effects.length ? owners[0] : null;
  const makeStrip = (owner) => {
    const isMaster = owner === master;
    const { name } = owner;
    const broken = name.replaceAll("_", "_\u200b"); // long names may go on in the next line here
    const title = effects.length
      ? makeButton(broken, `Show the settings of ${name}`, () => select(owner), "dm-name")
      : make("span", "dm-name", { textContent: broken });
    title.title = name;
    const [gain, label] = isMaster ? ["output_gain_db", "Output fader"] : ["input_gain_db", "Fader"];
    const fader = has(isMaster ? "master" : "fader") && knobOf(owner, gain, { label, vertical: true });
    const pan = !isMaster && has("pan") && knobOf(owner, "pan");
    const toggle = (key, item) => change(key, toggled(get(key), item));
    const mute = makeButton("M", `Mute ${name}`, () => toggle("muted", name), "dm-mute");
    const solo = makeButton("S", `Solo ${name}`, () => toggle("soloed", name));
    const meter = makeMeter();
    const lane = make("div", `dm-lane${has("fader") || has("master") ? "" : " dm-short"}`, {}, [meter.root]);
    if (fader) {
      const rail = make("div", "dm-rail", {}, [fader.slider]);
      rail.style.setProperty("--neutral", toUnit(fader.spec, fader.spec.neutral)); // its mark
      lane.prepend(rail);
    }
    const switches = make("div", "dm-switches", {}, isMaster ? [] : [mute, solo]);
    const root = makeGroup(`dm-strip${isMaster ? " dm-master" : ""}`, name, [
      title, switches, ...(pan ? [pan.root] : has("pan") ? [make("div", "dm-knob")] : []), lane,
      ...(fader ? [fader.field, fader.pair] : []),
    ]);
    return {
      owner, root, meter,
      show() {
        [fader, pan].forEach((knob) => knob && knob.show());
        if (effects.length) press(title, owner === selected);
        if (isMaster) return;
        const muted = get("muted").includes(name), soloed = get("soloed").includes(name);
        press(mute, muted);
        press(solo, soloed);
        root.classList.toggle("dm-off", muted || (get("soloed").length > 0 && !soloed));
      },
    };
  };

  // --- the selected strip's effects ---

  const isBandGain = ({ effect, name }) => effect === "eq" && name.endsWith("_gain_db");
  const bandNames = setup.specs.track.filter(isBandGain).map(({ name }) => name.replace(/_gain_db$/, ""));
  const effectPanels = {
    eq(owner) {
      const curve = makeEqualizerCurve(owner.name, bandNames, setup.sample_rate);
      const knobs = [];
      const bands = bandNames.map((band) => {
        const row = Object.keys(BAND_KNOBS).map((name) => {
          const [short, spoken] = BAND_KNOBS[name];
          return knobOf(owner, `${band}_${name}`, { short, label: `${BAND_LABELS[band]} ${spoken}` });
        });
        knobs.push(...row);
        const title = make("strong", "", { textContent: BAND_LABELS[band] });
        return makeGroup("dm-band", BAND_LABELS[band], [title, ...row.map(({ root }) => root)]);
      });
      return { parts: [curve.root, make("div", "dm-bands", {}, bands)], knobs, curve };
    },
    compressor(owner) {
      const curve = makeCompressorCurve(owner.name), reduction = makeReductionMeter();
      const specs = owner.table.filter(({ effect }) => effect === "compressor");
      const knobs = specs.map(({ name }) => knobOf(owner, name));
      const side = make("div", "dm-knobs", {}, knobs.map(({ root }) => root));
      const parts = [make("div", "dm-dynamics", {}, [curve.root, side]), reduction.root];
      return { parts, knobs, curve, reduction };
    },
  };
  const panelBox = make("div", "dm-panels");
  let panels = [];
  function select(owner) {
    selected = owner;
    const isMaster = owner === master;
    const input = isMaster && knobOf(owner, "input_gain_db");
    panels = effects.map((effect) => {
      const panel = effectPanels[effect](owner);
      const purpose = `Bypass the ${EFFECT_LABELS[effect].toLowerCase()} of ${owner.name}`;
      const bypass = makeButton("Bypass", purpose,
        () => change("bypassed", toggled(get("bypassed"), [owner.id, effect])));
      const title = `${EFFECT_LABELS[effect]} of ${owner.name}`;
      const head = make("div", "dm-head", {}, [make("strong", "", { textContent: title }), bypass]);
      const root = makeGroup("dm-panel", title, [head, ...panel.parts]);
      const show = () => {
        const off = get("bypassed").some(([id, name]) => id === owner.id && name === effect);
        press(bypass, off);
        root.classList.toggle("dm-off", off);
        panel.knobs.forEach((knob) => knob.show());
        const strips = owner.strips(get("settings"));
        const differ = strips.some((values) => panel.knobs.length && owner.table.some(
          (spec) => spec.effect === effect && values[spec.name] !== strips[0][spec.name]));
        panel.curve.show(differ ? strips : strips.slice(0, 1));
      };
      return { ...panel, root, show };
    });
    if (input) panels.unshift({ root: make("div", "dm-panel dm-input", {}, [input.root]), show: input.show });
    panelBox.replaceChildren(...panels.map(({ root }) => root));
    update();
  }

  // --- transport ---

  let looping = true, listening = "mix", dragging = false;
  const playButton = makeButton("\u25b6 Play", "Play", () => (player.playing ? stop() : play()), "dm-play");
  const loopButton = makeButton("Loop", "Loop", () => {
    looping = !looping;
    player.tell("loop", looping);
    press(loopButton, looping);
  });
  press(loopButton, looping);
  const duration = setup.num_samples / setup.sample_rate;
  const range = { type: "range", min: 0, max: duration, step: "any", value: 0 };
  const position = make("input", "dm-position", range);
  position.setAttribute("aria-label", "Position in s");
  const time = make("span", "dm-value");
  const showTime = (seconds) => {
    time.textContent = `${seconds.toFixed(1)} / ${duration.toFixed(1)} s`;
    position.setAttribute("aria-valuetext", `${seconds.toFixed(1)} s`);
  };
  position.oninput = () => {
    dragging = true;
    showTime(position.valueAsNumber);
  };
  position.onchange = () => {
    dragging = false;
    player.seek(position.valueAsNumber / duration);
  };
  const sources = { mix: "Mix", reference: "Reference" };
  const sourceButtons = Object.entries(sources).map(([name, text]) => {
    const button = makeButton(text, `Listen to the ${name}`, () => listen(name));
    button.title = name === "reference" ? setup.reference : "the mix of this desk";
    return button;
  });
  function listen(name) {
    listening = name;
    player.tell("reference", name === "reference");
    sourceButtons.forEach((button, i) => press(button, Object.keys(sources)[i] === name));
    resetPeak();
  }
  const peakText = make("span", "dm-peak", { textContent: "peak \u2013 dBFS" });
  const clip = make("span", "dm-clip", { textContent: "CLIP" });

  let meters = null; // what the engine sent last
  let highest = 0; // peak of what has played since the last change,
  let changedBy = 0; // which is audible only some time later
  const resetPeak = () => {
    highest = 0;
    changedBy = performance.now() + 150;
  };
  const player = new DeskPlayer(model, setup, (latest) => {
    if (!meters) requestAnimationFrame(drawMeters);
    meters = latest;
    if (performance.now() > changedBy) highest = Math.max(highest, latest.masterPeak);
    if (!latest.playing) stop();
  });
  function drawMeters() {
    const { peaks, masterPeak, reductionsDb, masterReductionDb, position: samples } = meters;
    meters = null;
    if (!player.playing) return;
    strips.forEach(({ meter, owner }, i) => meter.show(owner === master ? masterPeak : peaks[i]));
    const reduction = panels.find((panel) => panel.reduction)?.reduction;
    reduction?.show(selected === master ? masterReductionDb : reductionsDb[owners.indexOf(selected)]);
    if (highest > 0) peakText.textContent = `peak ${asText({ unit: "dB" }, 20 * Math.log10(highest))}FS`;
    clip.classList.toggle("dm-on", highest > 1);
    if (dragging) return;
    position.value = samples / player.context.sampleRate;
    showTime(position.valueAsNumber);
  }

  async function play() {
    // One sound at a time on a page: other players and desks stop.
    document.querySelectorAll("audio").forEach((audio) => audio.pause());
    document.dispatchEvent(new CustomEvent("dm-desk-play", { detail: el }));
    playButton.disabled = true;
    say("Loading \u2026");
    try {
      const start = position.valueAsNumber / duration, reference = listening === "reference";
      const options = { start, loop: looping, reference };
      if (!(await player.play(() => soundingValues(state()), options))) return; // called off
      say("");
      resetPeak();
      playButton.textContent = "\u25a0 Stop";
      playButton.setAttribute("aria-label", "Stop");
    } catch (error) {
      say(`No sound: ${error.message}`);
    }
    playButton.disabled = false;
  }
  function callOff() {
    player.cancel();
    playButton.disabled = false;
    say("");
  }
  function stop() {
    player.stop();
    playButton.textContent = "\u25b6 Play";
    playButton.setAttribute("aria-label", "Play");
    strips.forEach(({ meter }) => meter.clear());
    panels.forEach(({ reduction }) => reduction?.show(0));
    position.value = 0;
    showTime(0);
  }

  // --- settings ---

  const status = make("div", "dm-status");
  status.setAttribute("role", "status");
  const say = (text) => (status.textContent = text);
  const text = make("textarea", "", { rows: 8, spellcheck: false });
  text.setAttribute("aria-label", "Settings as JSON");
  let edited = false; // then the text is the reader's, and stays
  text.oninput = () => (edited = true);
  const asJson = () => JSON.stringify(get("settings"), null, 2);
  const showJson = () => {
    if (details.open && !edited) text.value = asJson();
  };
  function load(json) {
    try {
      change("settings", readSettings(json, setup));
      edited = false;
      showJson();
      say("Settings loaded.");
    } catch (error) {
      say(error.message); // nothing has changed, and the text is still there
    }
  }
  const file = make("input", "dm-file", { type: "file", accept: ".json,application/json" });
  file.setAttribute("aria-label", "Load settings from a file");
  file.onchange = async () => {
    if (file.files[0]) load(await file.files[0].text());
    file.value = ""; // the same file may be chosen again
  };
  const details = make("details", "dm-settings", {}, [
    make("summary", "", { textContent: "Settings as JSON" }),
    text,
    make("div", "dm-bar", {}, [
      makeButton("Load this text", "Load the settings in the text", () => load(text.value)), file,
    ]),
  ]);
  details.ontoggle = showJson;
  async function copy() {
    details.open = true;
    edited = false;
    showJson();
    text.select();
    try {
      await navigator.clipboard.writeText(text.value);
      say("Copied. Mute, solo and bypass are not part of it.");
    } catch {
      say("Copy the text below. Mute, solo and bypass are not part of it."); // no access to the clipboard
    }
  }
  function reset() {
    ["muted", "soloed", "bypassed"].forEach((key) => model.set(key, []));
    change("settings", structuredClone(setup.initial));
    say("");
  }

  // --- together ---

  const strips = [...owners, master].map(makeStrip);
  const featurePanel = setup.features && new FeaturePanel(setup, player);
  const sent = make("small", "dm-sent");
  const help = "Meters: peaks from \u221260 to 0 dBFS. Double-click on a slider: its value at the start. " +
    "Reset: the same for all of them.";
  function update() {
    [...strips, ...panels].forEach((part) => part.show());
    const values = soundingValues(state());
    player.tell("set", values);
    featurePanel?.follow(values);
    const names = sentStems(state());
    const text = `Sent to the effects bus, which the desk does not play: ${names.join(", ")}.`;
    sent.textContent = names.length ? `${text} desk.mix() renders it.` : "";
    showJson();
    resetPeak();
  }

  el.classList.add("dm-desk");
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", "Mixing desk");
  el.replaceChildren(
    make("div", "dm-bar", {}, [
      playButton, loopButton, position, time,
      ...(setup.reference ? [makeGroup("dm-sources", "Listen to", sourceButtons)] : []),
    ]),
    make("div", "dm-strips", {}, strips.map(({ root }) => root)),
    make("div", "dm-bar", {}, [
      makeButton("Reset", "Reset all settings, mute and solo", reset),
      makeButton("Copy settings", "Copy the settings as JSON", copy),
      make("span", "dm-peaks", {}, [peakText, clip]),
    ]),
    ...(featurePanel ? [featurePanel.root] : []),
    panelBox, sent, make("small", "", { textContent: `${help} ${setup.reference}` }), status, details,
  );

  const onOther = (event) => {
    if (event.detail === el) return;
    if (player.playing) stop();
    else if (player.pending) callOff();
  };
  const keys = ["settings", "muted", "soloed", "bypassed"];
  keys.forEach((key) => model.on(`change:${key}`, update));
  document.addEventListener("dm-desk-play", onOther);
  document.addEventListener("play", onOther, true); // an <audio> element starts
  const resized = new ResizeObserver(() => {
    panels.forEach((panel) => panel.show());
    featurePanel?.draw();
  });
  resized.observe(panelBox);
  showTime(0);
  listen("mix");
  if (selected) select(selected);
  else update();
  return () => {
    resized.disconnect();
    keys.forEach((key) => model.off(`change:${key}`, update));
    document.removeEventListener("dm-desk-play", onOther);
    document.removeEventListener("play", onOther, true);
    player.close();
    featurePanel?.close();
  };
}

export default { render };
