// The fader board. anywidget runs it in a live notebook, where `model` talks to Python;
// on a static page renderStatic() gives it a PageModel instead, with the audio in the page.
const MIN_DB = -48, MAX_DB = 12, STEP_DB = 0.5, METER_FLOOR_DB = -60;

const toGain = (db) => 10 ** (db / 20);
const toDb = (gain) => 20 * Math.log10(gain);
const showDb = (db) => (db > 0 ? "+" : db < 0 ? "\u2212" : "") + Math.abs(db).toFixed(1);

// The linear gain of every stem, in order: 0 where it is muted, or where only others are soloed.
export function stemGains({ names, gains_db, muted, soloed }) {
  const sounds = (name) => !muted.includes(name) && (!soloed.length || soloed.includes(name));
  return names.map((name) => (sounds(name) ? toGain(gains_db[name]) : 0));
}

// One source and one gain node for each stem, summed without limiter; a mono stem goes to both channels.
export function buildMix(context, buffers, gains) {
  const sum = new GainNode(context, { channelCount: 2, channelCountMode: "explicit" });
  const strips = buffers.map((buffer, i) => {
    const source = new AudioBufferSourceNode(context, { buffer, loop: true });
    const fader = new GainNode(context, { gain: gains[i] });
    source.connect(fader).connect(sum);
    return { source, fader };
  });
  sum.connect(context.destination);
  return { strips, sum, start: (when = 0) => strips.forEach(({ source }) => source.start(when)) };
}

// Returns a function that gives the highest sample of the last 2048 in both channels.
function peakReader(context, node) {
  const splitter = new ChannelSplitterNode(context, { numberOfOutputs: 2 });
  node.connect(splitter);
  const analysers = [0, 1].map((channel) => {
    const analyser = new AnalyserNode(context, { fftSize: 2048 });
    splitter.connect(analyser, channel);
    return analyser;
  });
  const samples = new Float32Array(2048);
  return () => {
    let peak = 0;
    for (const analyser of analysers) {
      analyser.getFloatTimeDomainData(samples);
      for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
    }
    return peak;
  };
}

// Plays the stems in a loop once they are decoded.
class Player {
  constructor(model) {
    this.model = model;
    this.context = null;
    this.mix = null;
  }

  load() {
    this.loading ??= new Promise((resolve, reject) => {
      const onMessage = (message, files) => {
        if (message.type !== "audio") return;
        this.model.off("msg:custom", onMessage);
        this.scales = message.scales;
        // decodeAudioData takes its input away, so each file is copied.
        const bytes = files.map((file) => file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength));
        Promise.all(bytes.map((data) => this.context.decodeAudioData(data))).then(resolve, reject);
      };
      this.model.on("msg:custom", onMessage);
      this.model.send({ type: "load" });
    });
    return this.loading;
  }

  async play(gains) {
    const AudioContext = globalThis.AudioContext;
    if (!AudioContext) throw new Error("this browser has no Web Audio");
    this.context ??= new AudioContext();
    await this.context.resume();
    const buffers = await this.load();
    this.mix = buildMix(this.context, buffers, gains().map((gain, i) => gain * this.scales[i]));
    this.stemPeaks = this.mix.strips.map(({ fader }) => peakReader(this.context, fader));
    this.sumPeak = peakReader(this.context, this.mix.sum);
    this.mix.start(this.context.currentTime + 0.05);
  }

  setGains(gains) {
    if (!this.mix) return;
    const now = this.context.currentTime;
    // A short glide: a jump of the gain would click.
    this.mix.strips.forEach(({ fader }, i) => fader.gain.setTargetAtTime(gains[i] * this.scales[i], now, 0.01));
  }

  stop() {
    if (!this.mix) return;
    this.mix.strips.forEach(({ source }) => source.stop());
    this.mix.sum.disconnect();
    this.mix = null;
  }

  close() {
    this.stop();
    this.context?.close();
  }
}

const make = (tag, className, properties = {}, children = []) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.className = className;
  element.append(...children);
  // JupyterLab has shortcuts on arrows and letters: not while a control of ours has the focus.
  element.dataset.lmSuppressShortcuts = "true";
  return element;
};
const makeButton = (text, label, onclick) => {
  const button = make("button", "", { type: "button", textContent: text, onclick });
  button.setAttribute("aria-label", label);
  return button;
};

function makeStrip(name, board) {
  const slider = make("input", "", { type: "range", min: MIN_DB, max: MAX_DB, step: STEP_DB });
  slider.setAttribute("aria-label", `Gain of ${name} in dB`);
  slider.oninput = () => board.setGain(name, Number(slider.value));
  slider.ondblclick = () => board.setGain(name, board.initial(name));
  const mute = makeButton("M", `Mute ${name}`, () => board.toggle("muted", name));
  const solo = makeButton("S", `Solo ${name}`, () => board.toggle("soloed", name));
  mute.classList.add("dm-mute");
  const level = make("div", "dm-level");
  const value = make("output", "dm-value");
  const track = make("div", "dm-track", {}, [slider, make("div", "dm-meter", {}, [level])]);
  const label = make("span", "dm-name", { textContent: name, title: name });
  const row = make("div", "dm-strip", {}, [label, mute, solo, track, value]);
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", name);
  return { name, row, slider, mute, solo, level, value };
}

function render({ model, el }) {
  const player = new Player(model);
  const get = (key) => model.get(key);
  const state = () => ({ names: get("names"), gains_db: get("gains_db"), muted: get("muted"), soloed: get("soloed") });
  const gains = () => stemGains(state());
  const set = (key, value) => {
    model.set(key, value);
    model.save_changes();
  };
  const board = {
    initial: (name) => get("initial_gains_db")[name],
    setGain: (name, db) => set("gains_db", { ...get("gains_db"), [name]: db }),
    toggle: (key, name) =>
      set(key, get(key).includes(name) ? get(key).filter((other) => other !== name) : [...get(key), name]),
  };

  const strips = get("names").map((name) => makeStrip(name, board));
  const playButton = makeButton("\u25b6 Play", "Play the stems in a loop", () => (player.mix ? stop() : play()));
  const resetButton = makeButton("Reset", "Reset faders, mute and solo", reset);
  const copyButton = makeButton("Copy settings", "Copy the gains as JSON", copy);
  playButton.classList.add("dm-play");
  const peakText = make("output", "dm-peak", { textContent: "peak \u2013 dBFS" });
  const clip = make("span", "dm-clip", { textContent: "CLIP" });
  const legend = make("small", "", {
    textContent: `Mark: 0 dB. Green: level after the fader, \u2212${-METER_FLOOR_DB} to 0 dBFS. Double-click: reset.`,
  });
  const status = make("div", "dm-status");
  status.setAttribute("role", "status");
  const settings = make("textarea", "", { readOnly: true, hidden: true, rows: 6 });
  settings.setAttribute("aria-label", "Settings as JSON");
  el.classList.add("dm-faders");
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", "Fader board");
  el.replaceChildren(
    make("div", "dm-bar", {}, [playButton, resetButton, copyButton, peakText, clip]),
    ...strips.map(({ row }) => row),
    legend,
    status,
    settings,
  );

  let highest = 0; // peak of the sum since the last change,
  let settledAt = 0; // which the meters show only some time later
  const shown = strips.map(() => 0);
  function drawMeters() {
    if (!player.mix) return;
    player.stemPeaks.forEach((read, i) => {
      shown[i] = Math.max(read(), 0.9 * shown[i]); // falls slowly enough to be read
      drawLevel(strips[i].level, shown[i]);
    });
    if (performance.now() > settledAt) highest = Math.max(highest, player.sumPeak());
    if (highest > 0) peakText.textContent = `peak ${showDb(toDb(highest))} dBFS`;
    clip.classList.toggle("dm-on", highest > 1);
    requestAnimationFrame(drawMeters);
  }
  function drawLevel(level, gain) {
    level.style.width = `${100 * Math.min(1, Math.max(0, 1 - toDb(gain) / METER_FLOOR_DB))}%`;
  }

  function update() {
    const { gains_db, muted, soloed } = state();
    const now = gains();
    strips.forEach(({ name, row, slider, mute, solo, value }, i) => {
      slider.value = gains_db[name];
      slider.setAttribute("aria-valuetext", `${showDb(gains_db[name])} dB`);
      value.textContent = `${showDb(gains_db[name])} dB`;
      mute.setAttribute("aria-pressed", String(muted.includes(name)));
      solo.setAttribute("aria-pressed", String(soloed.includes(name)));
      row.classList.toggle("dm-off", now[i] === 0);
    });
    player.setGains(now);
    highest = 0;
    settledAt = performance.now() + 150;
    if (!settings.hidden) settings.value = asJson();
  }

  async function play() {
    // One sound at a time on a page: other players and boards stop.
    document.querySelectorAll("audio").forEach((audio) => audio.pause());
    document.dispatchEvent(new CustomEvent("dm-faders-play", { detail: el }));
    playButton.disabled = true;
    status.textContent = "Loading \u2026";
    try {
      await player.play(gains);
      status.textContent = "";
      playButton.textContent = "\u25a0 Stop";
      playButton.setAttribute("aria-label", "Stop");
      highest = 0;
      drawMeters();
    } catch (error) {
      status.textContent = `No sound: ${error.message}`;
    }
    playButton.disabled = false;
  }
  function stop() {
    player.stop();
    playButton.textContent = "\u25b6 Play";
    playButton.setAttribute("aria-label", "Play the stems in a loop");
    strips.forEach(({ level }) => drawLevel(level, 0));
  }
  function reset() {
    model.set("gains_db", { ...get("initial_gains_db") });
    model.set("muted", []);
    set("soloed", []);
  }
  function asJson() {
    const { names, gains_db, muted } = state();
    const lines = names.map((name) => {
      const gain = muted.includes(name) ? null : gains_db[name];
      return `  ${JSON.stringify(name)}: {"input_gain_db": ${gain}}`;
    });
    return `{\n${lines.join(",\n")}\n}`; // one stem a line
  }
  async function copy() {
    settings.hidden = false;
    settings.value = asJson();
    settings.select();
    try {
      await navigator.clipboard.writeText(settings.value);
      status.textContent = "Copied.";
    } catch {
      status.textContent = "Copy the text below."; // no access to the clipboard
    }
  }

  const onOther = (event) => event.detail !== el && player.mix && stop();
  const events = ["change:gains_db", "change:muted", "change:soloed"];
  events.forEach((name) => model.on(name, update));
  document.addEventListener("dm-faders-play", onOther);
  document.addEventListener("play", onOther, true); // an <audio> element starts
  update();
  return () => {
    events.forEach((name) => model.off(name, update));
    document.removeEventListener("dm-faders-play", onOther);
    document.removeEventListener("play", onOther, true);
    player.close();
  };
}

// Stands in for the model of a live kernel: the state and the audio are in the page.
class PageModel {
  constructor({ audio, scales, ...state }) {
    Object.assign(this, { audio, scales, state, listeners: [] });
  }
  get(key) {
    return this.state[key];
  }
  set(key, value) {
    this.state[key] = value;
    this.emit(`change:${key}`);
  }
  save_changes() {}
  on(name, listener) {
    this.listeners.push({ name, listener });
  }
  off(name, listener) {
    this.listeners = this.listeners.filter((other) => other.name !== name || other.listener !== listener);
  }
  emit(name, ...values) {
    this.listeners.filter((other) => other.name === name).forEach(({ listener }) => listener(...values));
  }
  send() {
    const files = this.audio.map((text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
    this.emit("msg:custom", { type: "audio", scales: this.scales }, files);
  }
}

export function renderStatic() {
  for (const el of document.querySelectorAll(".dm-faders[data-static]")) {
    delete el.dataset.static; // each board of a page is set up once
    render({ model: new PageModel(JSON.parse(el.nextElementSibling.textContent)), el });
  }
}

export default { render };
