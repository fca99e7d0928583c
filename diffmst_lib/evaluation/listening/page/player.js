// The sounds of a page: all of them run in one clock, and one is heard.

const FADE_S = 0.0025; // time constant of a cross-fade: 98 % of it is over in 10 ms
const GAP_S = 0.02; // for going back to the beginning

function bytesOf(name) {
  const text = document.querySelector(`script[data-sound="${name}"]`).textContent;
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes.buffer;
}

// Loops that start together, each behind a gain. The gains of two sounds add up to 1 while one fades into the
// other, so that what they have in common stays, and each goes on from the value that it has: nothing jumps.
class Loops {
  constructor(context, buffers, output) {
    this.context = context;
    this.buffers = buffers;
    this.gains = new Map();
    for (const name of buffers.keys()) {
      const gain = new GainNode(context, { gain: 0 });
      gain.connect(output);
      this.gains.set(name, gain);
    }
    this.sources = [];
    this.chosen = null;
  }

  start(when) {
    for (const source of this.sources) source.stop(when);
    this.sources = [...this.buffers].map(([name, buffer]) => {
      const source = new AudioBufferSourceNode(this.context, { buffer, loop: true });
      source.connect(this.gains.get(name));
      source.start(when);
      return source;
    });
    this.startedAt = when;
  }

  choose(name) {
    const { currentTime } = this.context;
    for (const [each, { gain }] of this.gains) {
      if ((each === name) !== (each === this.chosen)) {
        gain.setTargetAtTime(each === name ? 1 : 0, currentTime, FADE_S);
      }
    }
    this.chosen = name;
  }

  // Ends the loops: at once when nothing is heard, else when what is heard has faded out.
  close(heard) {
    const { sources, gains, context } = this;
    for (const source of sources) source.stop(context.currentTime + (heard ? GAP_S : 0));
    const part = () => gains.forEach((gain) => gain.disconnect());
    if (heard) setTimeout(part, 50);
    else part();
  }
}

class Player {
  constructor(onChange) {
    this.onChange = onChange;
    this.playing = false;
    this.loops = null;
    this.heard = () => {};
  }

  // Call it in a click or a key, else a browser keeps it silent.
  open() {
    clearTimeout(this.falling);
    if (!this.context) {
      this.context = new AudioContext();
      this.volume = new GainNode(this.context, { gain: 0 });
      this.volume.connect(this.context.destination);
    }
    return this.context;
  }

  // names: sounds of the page; heard: gets (name, seconds) for what was heard.
  // Returns whether they are there: false when other sounds were asked for meanwhile.
  async load(names, heard) {
    this.unload();
    const turn = (this.turn = {});
    const context = this.open();
    const decoded = await Promise.all(names.map((name) => context.decodeAudioData(bytesOf(name))));
    if (turn !== this.turn) return false;
    this.loops = new Loops(context, new Map(names.map((name, i) => [name, decoded[i]])), this.volume);
    this.heard = heard;
    return true;
  }

  unload() {
    this.turn = null;
    const heard = this.playing;
    this.stop();
    this.loops?.close(heard);
    this.loops = null;
  }

  async play(name) {
    if (!this.loops) return;
    this.count();
    const { loops, context, volume } = this;
    loops.choose(name);
    this.since = context.currentTime;
    if (!this.playing) {
      this.playing = true;
      this.open();
      volume.gain.setTargetAtTime(1, context.currentTime, FADE_S);
      await context.resume();
      if (loops === this.loops && loops.startedAt === undefined) loops.start(context.currentTime + 0.005);
    }
    this.onChange();
  }

  stop() {
    if (!this.playing) return;
    this.count();
    this.playing = false;
    const { context, volume } = this;
    volume.gain.setTargetAtTime(0, context.currentTime, FADE_S);
    this.falling = setTimeout(() => context.suspend(), 60); // the clock stands still, and so do all loops
    this.onChange();
  }

  begin() {
    if (!this.loops) return;
    const { context, volume, loops } = this;
    const when = context.currentTime + GAP_S;
    volume.gain.setTargetAtTime(0, context.currentTime, FADE_S);
    loops.start(when);
    if (this.playing) volume.gain.setTargetAtTime(1, when, FADE_S);
  }

  // How far the loop of the mixes is, 0 to 1.
  position() {
    const { startedAt, buffers } = this.loops ?? {};
    if (startedAt === undefined) return 0;
    const { duration } = [...buffers.values()].at(-1); // the first one is the record
    return Math.max(0, (this.context.currentTime - startedAt) % duration) / duration;
  }

  // Tell how long the sound that plays has been heard.
  count() {
    if (!this.playing || !this.loops) return;
    const seconds = this.context.currentTime - this.since;
    this.since = this.context.currentTime;
    if (seconds > 0) this.heard(this.loops.chosen, seconds);
  }
}
