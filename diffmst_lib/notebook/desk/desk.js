// The mixing desk. anywidget runs it in a live notebook, where `model` talks to Python; on a static page
// renderStatic() gives it a PageModel instead, with the audio in the page. Ranges, units and what is neutral
// come with the state, from the library's parameter table.

const MASTER = "master_bus";
const KNOB_LABELS = {
  input_gain_db: "Trim", fader_db: "Fader", output_gain_db: "Output fader", threshold_db: "Threshold",
  ratio: "Ratio", attack_ms: "Attack", release_ms: "Release", knee_db: "Knee", makeup_gain_db: "Make-up",
  width: "Width", pan: "Pan",
};
const EFFECT_LABELS = { eq: "Equalizer", compressor: "Compressor" };
const STATE = ["settings", "muted", "soloed", "bypassed"];

function render({ model, el }) {
  const get = (key) => model.get(key);
  const setup = get("setup");
  const has = (control) => setup.controls.includes(control);
  const effects = ["eq", "compressor"].filter(has);
  const state = () => ({ setup, ...Object.fromEntries(STATE.map((key) => [key, get(key)])) });

  // --- every change goes through here, and can be undone ---

  const snapshot = () => JSON.stringify(STATE.map(get));
  const history = new DeskHistory(snapshot());
  let restoring = false;
  let knob = null, move = {}; // what is turned, and by which movement of the hand
  const change = (key, value, what = null) => {
    knob = what;
    model.set(key, value);
    model.save_changes();
    knob = null;
  };
  const restore = (text) => {
    if (text === undefined) return;
    restoring = true;
    JSON.parse(text).forEach((value, i) => {
      if (JSON.stringify(get(STATE[i])) !== JSON.stringify(value)) model.set(STATE[i], value);
    });
    model.save_changes();
    restoring = false;
  };
  const undo = makeButton("\u21b6", "Undo", () => restore(history.undo()));
  const redo = makeButton("\u21b7", "Redo", () => restore(history.redo()));
  [undo.title, redo.title] = ["Undo (Ctrl+Z)", "Redo (Ctrl+Shift+Z)"];

  // --- knobs ---

  const owners = setup.strips.map(({ name, channels }) => ({
    id: name, name, table: setup.specs.track, values: (settings) => settings.tracks[name],
    isMono: channels === 1,
  }));
  const master = {
    id: MASTER, name: "Master", table: setup.specs.master_bus, values: (settings) => settings.master_bus,
  };
  const turn = (owner, changes, what) => {
    const settings = structuredClone(get("settings"));
    Object.assign(owner.values(settings), changes);
    change("settings", settings, `${owner.id} ${what}`);
  };
  const startOf = (owner, name) => owner.values(setup.initial)[name];
  const knobOf = (owner, name, { label = KNOB_LABELS[name], short = label, kind = makeKnob } = {}) => {
    const spec = owner.table.find((row) => row.name === name);
    const texts = { title: `${label} of ${owner.name}`, label: short, start: startOf(owner, name) };
    const control = kind(spec, texts, (value) => turn(owner, { [name]: value }, name),
      () => turn(owner, { [name]: texts.start }));
    return { ...control, show: () => control.show(owner.values(get("settings"))[name]) };
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
    // A knob that a strip lacks leaves its place empty, so that the others stand in rows.
    const place = (control, name, mine) =>
      !control ? [] : mine ? [knobOf(owner, name)] : [{ root: make("div", "dm-knob"), show() {} }];
    const knobs = [
      ...place(has("width"), "width", !owner.isMono && (!isMaster || has("master"))),
      ...place(has("pan"), "pan", !isMaster),
    ];
    const fader = has(isMaster ? "master" : "fader") &&
      knobOf(owner, isMaster ? "output_gain_db" : "fader_db", { kind: makeFader });
    const toggle = (key, item) => change(key, toggled(get(key), item));
    const mute = makeButton("M", `Mute ${name}`, () => toggle("muted", name), "dm-mute");
    const solo = makeButton("S", `Solo ${name}`, () => toggle("soloed", name));
    const meter = makeMeter();
    const lane = make("div", `dm-lane${has("fader") || has("master") ? "" : " dm-short"}`, {}, [
      ...(fader ? [fader.root] : []), meter.root,
    ]);
    const switches = make("div", "dm-switches", {}, isMaster ? [] : [mute, solo]);
    const root = makeGroup(`dm-strip${isMaster ? " dm-master" : ""}`, name, [
      title, switches, ...knobs.map((knob) => knob.root), lane, ...(fader ? [fader.field] : []),
    ]);
    return {
      owner, root, meter,
      show() {
        [fader, ...knobs].forEach((knob) => knob && knob.show());
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

  const effectPanels = makeEffectPanels({ setup, turn, startOf, knobOf });
  const panelBox = make("div", "dm-panels");
  let panels = [];
  function select(owner) {
    selected = owner;
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
        panel.curve.show(owner.values(get("settings")));
      };
      return { ...panel, root, show };
    });
    if (owner !== master) { // how hard it drives what follows
      const trim = knobOf(owner, "input_gain_db");
      panels.unshift({ root: make("div", "dm-panel dm-trim", {}, [trim.root]), show: trim.show });
    }
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
  const others = {}; // what can be heard besides the mix
  if (setup.reference) others.reference = setup.reference;
  if (setup.plain_sum) others.plain = setup.plain_sum;
  const referenceNote = !setup.reference ? "" : setup.reference.lufs === null
    ? "The reference plays at its own level."
    : "The reference plays as loud as the mix (LUFS), also while you turn its knobs.";
  const sources = { mix: ["Mix", "mix"], reference: ["Reference", "reference"], plain: ["Plain sum", "plain sum"] };
  const sourceNotes = {
    mix: "the mix of this desk", reference: referenceNote,
    plain: "the stems as delivered, added up, as loud as the mix",
  };
  const sourceNames = ["mix", ...Object.keys(others)];
  const sourceButtons = sourceNames.map((name) => {
    const [text, spoken] = sources[name];
    const button = makeButton(text, `Listen to the ${spoken}`, () => listen(name));
    button.title = sourceNotes[name];
    return button;
  });
  const heard = () => ({
    reference: listening === "reference" ? 1 : 0, gain: levels.gainOf("reference") ?? 1,
    plain: listening === "plain" ? 1 : 0, plain_gain: levels.gainOf("plain") ?? 1,
  });
  function listen(name) {
    listening = name;
    player.tell("listen", heard());
    sourceButtons.forEach((button, i) => press(button, sourceNames[i] === name));
    resetPeak();
    levels.show();
  }

  // --- levels ---

  const levels = makeLevelDisplay(others, () => listening);
  let highest = 0; // peak of what has played since the last change,
  let changedBy = 0; // which is audible only some time later
  const resetPeak = () => {
    highest = 0;
    changedBy = performance.now() + 150;
  };
  let meters = null; // what the engine sent last
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
    levels.showPeak(highest);
    if (dragging) return;
    position.value = samples / player.context.sampleRate;
    showTime(position.valueAsNumber);
  }
  const featurePanel = setup.features && new FeaturePanel(setup.features, (equalPower) => {
    measurer.equalPower = equalPower;
    measurer.follow(measurer.values);
  });
  const measurer = new Measurer(setup, player, {
    busy: () => [levels, featurePanel].forEach((part) => part?.busy(true)),
    idle: () => [levels, featurePanel].forEach((part) => part?.busy(false)),
    fail: (message) => featurePanel?.fail(message),
    show(answer, equalPower) {
      featurePanel?.show(answer, equalPower);
      levels.show(answer);
      player.tell("listen", heard());
    },
  });

  async function play() {
    // One sound at a time on a page: other players and desks stop.
    document.querySelectorAll("audio").forEach((audio) => audio.pause());
    document.dispatchEvent(new CustomEvent("dm-desk-play", { detail: el }));
    playButton.disabled = true;
    say("Loading \u2026");
    try {
      const start = position.valueAsNumber / duration;
      const options = { start, loop: looping, listen: heard() };
      if (!(await player.play(() => soundingValues(state()), options))) return; // called off
      say("");
      resetPeak();
      measurer.start();
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
  const box = makeSettingsBox({
    say, read: () => get("settings"), load: (text) => change("settings", readSettings(text, setup)),
  });
  function reset() {
    ["muted", "soloed", "bypassed"].forEach((key) => change(key, [], "reset"));
    change("settings", structuredClone(setup.initial), "reset");
    say("");
  }

  // --- together ---

  const strips = [...owners, master].map(makeStrip);
  const unplayed = make("small", "dm-unplayed");
  const help = "Meters: peaks from \u221260 to 0 dBFS. LUFS and correlation: of the whole excerpt, once it " +
    "has played. Double-click on a control: its value at the start. Shift: faders and the equalizer's dots " +
    "move finely. Wheel on a dot: Q. Ctrl+Z: undo.";
  function update() {
    if (!restoring) history.note(snapshot(), knob, move);
    undo.disabled = !history.past.length;
    redo.disabled = !history.future.length;
    [...strips, ...panels].forEach((part) => part.show());
    const values = soundingValues(state());
    player.tell("set", values);
    measurer.follow(values);
    unplayed.textContent = notPlayed(state());
    box.show();
    resetPeak();
  }

  el.classList.add("dm-desk");
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", "Mixing desk");
  el.replaceChildren(
    make("div", "dm-bar", {}, [
      playButton, loopButton, position, time,
      ...(sourceNames.length > 1 ? [makeGroup("dm-sources", "Listen to", sourceButtons)] : []),
    ]),
    make("div", "dm-strips", {}, strips.map(({ root }) => root)),
    make("div", "dm-bar", {}, [
      undo, redo,
      makeButton("Reset", "Reset all settings, mute and solo", reset),
      makeButton("Copy settings", "Copy the settings as JSON", box.copy),
      levels.root,
    ]),
    ...(featurePanel ? [featurePanel.root] : []),
    panelBox, unplayed, ...(setup.remark ? [make("small", "dm-remark", { textContent: setup.remark })] : []), make("small", "", { textContent: `${help} ${referenceNote}`.trim() }),
    status, box.root,
  );

  const onOther = (event) => {
    if (event.detail === el) return;
    if (player.playing) stop();
    else if (player.pending) callOff();
  };
  const onKey = (event) => {
    if (!event.repeat) move = {}; // a key held down is one movement
    const { key, target } = event;
    if (!(event.ctrlKey || event.metaKey) || event.altKey || !/^[yz]$/i.test(key)) return;
    if (target.tagName === "TEXTAREA" || "typed" in target.dataset) return; // of the text
    event.preventDefault();
    event.stopPropagation();
    restore(key.toLowerCase() === "y" || event.shiftKey ? history.redo() : history.undo());
  };
  el.addEventListener("keydown", onKey, true);
  const onPointer = () => (move = {});
  el.addEventListener("pointerdown", onPointer, true);
  STATE.forEach((key) => model.on(`change:${key}`, update));
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
  if (featurePanel) measurer.start();
  return () => {
    resized.disconnect();
    STATE.forEach((key) => model.off(`change:${key}`, update));
    el.removeEventListener("keydown", onKey, true);
    el.removeEventListener("pointerdown", onPointer, true);
    document.removeEventListener("dm-desk-play", onOther);
    document.removeEventListener("play", onOther, true);
    player.close();
    measurer.close();
  };
}

export default { render };
