// From files to sound: decodes the stems and runs the desk on the audio thread.

const workletCode = () => `
const { Engine } = (${makeDsp})();
registerProcessor("dm-desk", class extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.engine = new Engine(processorOptions, (meters) => this.port.postMessage(meters));
    this.port.onmessage = ({ data }) => this.engine.receive(data);
  }
  process(inputs, [[left, right]]) {
    this.engine.process(left, right);
    return true;
  }
});`;

// Returns {node, post}: a node that plays the desk, and a function for messages to its engine.
// Pages over plain http have no audio worklet, and a page may forbid scripts made on the spot:
// then the page's own thread does the work.
export async function makeNode(context, options, onMeters) {
  if (context.audioWorklet && (await addModule(context))) {
    const node = new AudioWorkletNode(context, "dm-desk", {
      numberOfInputs: 0, outputChannelCount: [2], processorOptions: options,
    });
    node.port.onmessage = ({ data }) => onMeters(data);
    return { node, post: (...message) => node.port.postMessage(message) };
  }
  const engine = new (makeDsp().Engine)(options, onMeters);
  const node = context.createScriptProcessor(2048, 0, 2);
  node.onaudioprocess = ({ outputBuffer }) =>
    engine.process(outputBuffer.getChannelData(0), outputBuffer.getChannelData(1));
  return { node, post: (...message) => engine.receive(message) };
}

// Returns whether it worked. A page that was opened as a file may not load a blob, but a data URL it may.
async function addModule(context) {
  const code = workletCode();
  const blob = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  for (const url of [blob, `data:text/javascript,${encodeURIComponent(code)}`]) {
    try {
      await context.audioWorklet.addModule(url);
      return true;
    } catch {
      continue;
    } finally {
      URL.revokeObjectURL(blob);
    }
  }
  return false;
}

// The stems as they are delivered, added up: [left, right].
const summed = (stems, numSamples) => [0, 1].map((side) => {
  const sum = new Float32Array(numSamples);
  for (const channels of stems) {
    const samples = channels[Math.min(side, channels.length - 1)];
    for (let i = 0; i < numSamples; i++) sum[i] += samples[i];
  }
  return sum;
});

// What the engine needs besides the knobs. buffers: AudioBuffers of the stems, then of the reference, if any;
// scales: factors that give them back their level.
export function engineSetup(setup, buffers, scales, sampleRate) {
  const { strips, specs, lookahead } = setup;
  const timeScale = sampleRate / setup.sample_rate;
  const numSamples = Math.max(1, Math.round(setup.num_samples * timeScale));
  const channel = (buffer, scale, index) => {
    const samples = buffer.getChannelData(Math.min(index, buffer.numberOfChannels - 1));
    const whole = new Float32Array(numSamples); // a decoder may give a few samples less or more
    whole.set(samples.subarray(0, numSamples).map((x) => scale * x));
    return whole;
  };
  const stems = strips.map(({ channels }, i) =>
    Array.from({ length: channels }, (_, side) => channel(buffers[i], scales[i], side)));
  const last = strips.length;
  const reference = buffers[last] ? [0, 1].map((side) => channel(buffers[last], scales[last], side)) : null;
  return {
    stems, reference, plain: setup.plain_sum ? summed(stems, numSamples) : null, numSamples, sampleRate,
    specs: { track: specs.track, master_bus: specs.master_bus },
    lookahead: {
      track: Math.round(lookahead.track * timeScale),
      master_bus: Math.round(lookahead.master_bus * timeScale),
    },
  };
}

const FILES_LIMIT_S = 30; // the stems come from Python, and a kernel may be busy or dead
const START_LIMIT_S = 5;

// The promise, or an Error with the complaint when it takes too long.
function within(seconds, promise, complaint) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(complaint)), 1000 * seconds);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

// decodeAudioData takes its input away, so each file is copied.
function decodeFiles(context, files) {
  const bytes = files.map((file) => file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength));
  return Promise.all(bytes.map((data) => context.decodeAudioData(data)));
}

class DeskPlayer {
  constructor(model, setup, onMeters) {
    Object.assign(this, { model, setup, onMeters, playing: false, pending: null });
  }

  // The files of the stems, from the page or from Python.
  receive() {
    let onMessage;
    const answer = new Promise((resolve) => {
      onMessage = (message, files) => message.type === "audio" && resolve({ files, scales: message.scales });
      this.model.on("msg:custom", onMessage);
      this.model.send({ type: "load" });
    });
    const silence = `Python has sent no audio for ${FILES_LIMIT_S} s: the kernel is busy, or it has stopped`;
    return within(FILES_LIMIT_S, answer, silence).finally(() => this.model.off("msg:custom", onMessage));
  }

  // The same, asked for once; after a failure the next call asks again.
  files() {
    if (!this.received) {
      const received = (this.received = this.receive());
      received.catch(() => this.received === received && (this.received = null));
    }
    return this.received;
  }

  makeContext() {
    const AudioContext = globalThis.AudioContext;
    if (!AudioContext) throw new Error("this browser has no Web Audio");
    try {
      this.context = new AudioContext({ sampleRate: this.setup.sample_rate });
    } catch {
      this.context = new AudioContext(); // at the device's own rate: the stems are resampled
    }
    this.volume = new GainNode(this.context);
    this.volume.connect(this.context.destination);
  }

  async open(values) {
    const { context, volume } = this;
    const { files, scales } = await this.files();
    const buffers = await decodeFiles(context, files);
    const options = { ...engineSetup(this.setup, buffers, scales, context.sampleRate), values: values() };
    const onMeters = (meters) => this.playing && this.onMeters(meters);
    const { node, post } = await makeNode(context, options, onMeters);
    node.connect(volume);
    return { node, post };
  }

  // Call it in a click. Returns whether it plays: false when cancel() or close() came first.
  // start: 0 to 1 of the clip; values: a function that gives the knobs; listen: levels of the sources.
  async play(values, { start, loop, listen }) {
    const turn = (this.pending = {});
    clearTimeout(this.falling);
    try {
      if (!this.context) this.makeContext();
      const { context } = this;
      // Before the first wait: later it is no part of the click, and WebKit refuses.
      const running = context.resume();
      running.catch(() => {});
      if (!this.opening) {
        const opening = (this.opening = this.open(values));
        opening.catch(() => this.opening === opening && (this.opening = null)); // the next click tries again
      }
      const engine = await this.opening;
      if (this.pending === turn) await within(START_LIMIT_S, running, "the browser did not start the audio");
      if (this.pending !== turn) return false;
      Object.assign(this, engine); // kept: a script processor that nobody holds falls silent
    } catch (error) {
      if (this.pending !== turn) return false;
      this.close(); // browsers allow a page few contexts
      throw error;
    }
    this.pending = null;
    this.playing = true;
    this.post("set", values());
    this.post("loop", loop);
    this.post("listen", listen);
    this.seek(start);
    this.volume.gain.cancelScheduledValues(0);
    this.volume.gain.setTargetAtTime(1, this.context.currentTime, 0.002);
    return true;
  }

  // Call off what is about to play; what is loaded stays.
  cancel() {
    this.pending = null;
    this.context?.suspend();
  }

  seek(start) {
    if (!this.playing) return;
    const { num_samples, sample_rate } = this.setup;
    this.post("play", Math.floor((start * num_samples * this.context.sampleRate) / sample_rate));
  }

  tell(...message) {
    if (this.playing) this.post(...message); // play() tells everything
  }

  stop() {
    if (!this.playing) return;
    this.playing = false;
    this.volume.gain.setTargetAtTime(0, this.context.currentTime, 0.01); // a sudden end would click
    this.falling = setTimeout(() => {
      this.post("stop");
      this.context.suspend();
    }, 80);
  }

  close() {
    clearTimeout(this.falling);
    this.playing = false;
    this.context?.close().catch(() => {}); // it may be closed already
    this.pending = this.context = this.opening = null;
  }
}
