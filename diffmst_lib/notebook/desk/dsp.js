// The library's default console, sample by sample: console/effects.py and console/mixing_console.py in
// JavaScript, all in 64-bit floats. One function holds everything: its text is handed to the audio thread as
// it is.
export function makeDsp() {
  const BLOCK = 128; // samples between two looks at the knobs
  const METER_SAMPLES = 1024; // samples between two readings of the meters
  const GLIDE = 1 - Math.exp(-BLOCK / 882); // a turned knob takes some 20 ms: a jump would click
  const OFF_DB = -60; // the lowest value of a fader
  const TINY = 1e-20; // filter states below are zero: denormal numbers are slow
  const BANDS = ["low_shelf", "peak_1", "peak_2", "peak_3", "peak_4", "high_shelf"];

  const toGain = (db) => 10 ** (db / 20);

  // One band of the cookbook, whose shelves have a Q (Web Audio's own have none), as a state variable filter:
  // H(s) = m0 + (m1 s + m2) / (s^2 + k s + 1), s = j tan(w/2) / g.
  // Its states keep their meaning while a knob is turned; those of a biquad do not, and it clicks.
  function bandFilter(band, gainDb, frequencyHz, q, sampleRate) {
    const A = 10 ** (gainDb / 40), W = Math.tan((Math.PI * frequencyHz) / sampleRate);
    if (band === "low_shelf") return { g: W / Math.sqrt(A), k: 1 / q, m0: 1, m1: (A - 1) / q, m2: A * A - 1 };
    if (band === "high_shelf")
      return { g: W * Math.sqrt(A), k: 1 / q, m0: A * A, m1: (A * (1 - A)) / q, m2: 1 - A * A };
    return { g: W, k: 1 / (q * A), m0: 1, m1: (A - 1 / A) / q, m2: 0 };
  }

  function responseDb({ g, k, m0, m1, m2 }, hz, sampleRate) {
    const s = Math.tan((Math.PI * hz) / sampleRate) / g, r = 1 - s * s;
    return 10 * Math.log10(((m0 * r + m2) ** 2 + ((m0 * k + m1) * s) ** 2) / (r * r + (k * s) ** 2));
  }

  // The equalizer's gain in dB at a frequency; values: {parameter name: value} of a strip.
  function equalizerDb(values, hz, sampleRate) {
    const bandDb = (band) => {
      const [gain, frequency, q] = ["gain_db", "frequency_hz", "q"].map((name) => values[`${band}_${name}`]);
      return gain === 0 ? 0 : responseDb(bandFilter(band, gain, frequency, q, sampleRate), hz, sampleRate);
    };
    return BANDS.reduce((sum, band) => sum + bandDb(band), 0);
  }

  // The compressor's static curve: gain in dB, at most 0, for a level in dB.
  function gainComputer(levelDb, { threshold_db, ratio, knee_db }) {
    const over = levelDb - threshold_db;
    const inside = Math.min(Math.max(over + knee_db / 2, 0), knee_db);
    const above = (inside * inside) / (2 * Math.max(knee_db, 1e-6)) + Math.max(over - knee_db / 2, 0);
    return (1 / ratio - 1) * above;
  }

  // A fader's lowest value is off.
  const faderGain = (db) => (db > OFF_DB ? toGain(db) : 0);

  // The pan law: [left, right] for pan in [0, 1]. 0.5 changes nothing.
  function panGains(pan) {
    const angle = (pan * Math.PI) / 2;
    return [Math.SQRT2 * Math.cos(angle), Math.SQRT2 * Math.sin(angle)];
  }

  // Width, pan and fader as one gain from each channel of a stem to each side: [left, right] of a list each.
  function imageGains({ width, pan, fader_db, on }, numChannels) {
    const same = (1 + width) / 2, other = (1 - width) / 2;
    const [left, right] = panGains(pan).map((gain) => on * faderGain(fader_db) * gain);
    return numChannels === 1 ? [[left], [right]]
      : [[left * same, left * other], [right * other, right * same]];
  }

  // The same for the master, whose last gain has no lowest value that is off.
  function outputGains({ width, output_gain_db }) {
    const gain = toGain(output_gain_db), same = (gain * (1 + width)) / 2, other = (gain * (1 - width)) / 2;
    return [[same, other], [other, same]];
  }

  // The knobs of a strip, on their way to where they were set.
  class Knobs {
    constructor(specs) {
      this.specs = specs;
    }

    set(values, atOnce) {
      this.target = values;
      if (atOnce || !this.now) this.now = { ...values };
      this.changed = true;
    }

    // Returns whether anything has changed since the last block.
    glide() {
      if (!this.changed) return false;
      this.changed = false;
      for (const { name, low, high } of this.specs) {
        const way = this.target[name] - this.now[name];
        if (Math.abs(way) <= 1e-4 * (high - low)) this.now[name] = this.target[name];
        else {
          this.now[name] += GLIDE * way;
          this.changed = true;
        }
      }
      return true;
    }
  }

  // A factor that moves in a straight line through a block.
  class Ramp {
    next(value) {
      this.from = this.to ?? value;
      this.to = value;
    }

    at(i, count) {
      return this.from + ((this.to - this.from) * (i + 1)) / count;
    }

    apply(block, count) {
      if (this.from === 1 && this.to === 1) return;
      for (let i = 0; i < count; i++) block[i] *= this.at(i, count);
    }
  }

  // Gains from each channel to each side, all of them ramps.
  class Placement {
    constructor(numChannels) {
      this.ramps = [0, 1].map(() => Array.from({ length: numChannels }, () => new Ramp()));
    }

    // Add what `blocks` give on both sides to `mix`. Returns the peak.
    add(blocks, gains, mix, count) {
      let peak = 0;
      this.ramps.forEach((ramps, side) => {
        const channel = mix[side];
        ramps.forEach((ramp, i) => ramp.next(gains[side][i]));
        const [first, second] = ramps, [a, b] = blocks;
        for (let i = 0; i < count; i++) {
          let y = first.at(i, count) * a[i];
          if (second) y += second.at(i, count) * b[i];
          channel[i] += y;
          if (y > peak) peak = y;
          else if (-y > peak) peak = -y;
        }
      });
      return peak;
    }
  }

  // Trim, equalizer and compressor of a strip, whose channels get one gain; the master has no trim.
  // What comes out is `lookahead` samples late, and its compressor has read that much more.
  class Chain {
    constructor(numChannels, specs, lookahead, sampleRate) {
      this.sampleRate = sampleRate;
      this.knobs = new Knobs(specs);
      this.states = BANDS.map(() => Array.from({ length: numChannels }, () => new Float64Array(2)));
      this.delays = Array.from({ length: numChannels }, () => new Float64Array(lookahead));
      this.reset();
    }

    reset() {
      this.states.flat().forEach((state) => state.fill(0));
      this.delays.forEach((delay) => delay.fill(0));
      this.delayIndex = 0;
      this.reductionDb = 0; // of the compressor, at most 0
      this.deepestDb = 0; // since the meters were read
    }

    set(values, atOnce) {
      this.knobs.set(values, atOnce);
      if (atOnce) [this.filters, this.gain, this.makeup] = [null, new Ramp(), new Ramp()];
    }

    update() {
      const now = this.knobs.now;
      this.filters = BANDS.map((band, i) => {
        const [gain, frequency, q] = ["gain_db", "frequency_hz", "q"].map((name) => now[`${band}_${name}`]);
        const to = bandFilter(band, gain, frequency, q, this.sampleRate);
        return { from: this.filters?.[i].to ?? to, to };
      });
      // From 10 % to 90 % of the way in this time.
      const pole = (ms) => Math.exp(-Math.log(9) / ((ms * this.sampleRate) / 1000));
      this.poles = [pole(now.attack_ms), pole(now.release_ms)];
    }

    // In place, on `count` samples a channel. After the first `live` the clip is over: the gain stays.
    process(blocks, count, live) {
      if (this.knobs.glide()) this.update();
      else this.filters.forEach((filter) => (filter.from = filter.to)); // arrived
      this.gain.next(toGain(this.knobs.now.input_gain_db ?? 0));
      this.makeup.next(toGain(this.knobs.now.makeup_gain_db));
      blocks.forEach((block) => this.gain.apply(block, count));
      this.filters.forEach((filter, band) => {
        blocks.forEach((block, channel) => this.filter(filter, this.states[band][channel], block, count));
      });
      this.compress(blocks, count, live);
    }

    filter({ from, to }, state, block, count) {
      const isFlat = ({ m0, m1, m2 }) => m0 === 1 && m1 === 0 && m2 === 0;
      if (isFlat(from) && isFlat(to)) return void state.fill(0);
      let { g, k, m0, m1, m2 } = to, [s1, s2] = state; // states of two integrators: trapezoidal, so bilinear
      let a1 = 1 / (1 + g * (g + k)), a2 = g * a1;
      for (let i = 0; i < count; i++) {
        if (from !== to) { // on the way, in a straight line
          const t = (i + 1) / count;
          g = from.g + t * (to.g - from.g);
          k = from.k + t * (to.k - from.k);
          m0 = from.m0 + t * (to.m0 - from.m0);
          m1 = from.m1 + t * (to.m1 - from.m1);
          m2 = from.m2 + t * (to.m2 - from.m2);
          a1 = 1 / (1 + g * (g + k));
          a2 = g * a1;
        }
        const x = block[i];
        const v1 = a1 * s1 + a2 * (x - s2), v2 = s2 + g * v1;
        s1 = 2 * v1 - s1;
        s2 = 2 * v2 - s2;
        block[i] = m0 * x + m1 * v1 + m2 * v2;
      }
      state[0] = Math.abs(s1) < TINY ? 0 : s1;
      state[1] = Math.abs(s2) < TINY ? 0 : s2;
    }

    compress(blocks, count, live) {
      const { now } = this.knobs, [attack, release] = this.poles;
      const lookahead = this.delays[0].length;
      const quiet = toGain(now.threshold_db - now.knee_db / 2); // up to here the curve is flat
      const idle = now.ratio === 1 && this.reductionDb === 0;
      let reductionDb = this.reductionDb, index = this.delayIndex;
      for (let i = 0; i < count; i++) {
        if (!idle && i < live) {
          let level = 0; // of the loudest channel
          for (const block of blocks) level = Math.max(level, Math.abs(block[i]));
          const wanted = level <= quiet ? 0 : gainComputer(20 * Math.log10(level), now);
          const pole = wanted < reductionDb ? attack : release;
          reductionDb = pole * reductionDb + (1 - pole) * wanted;
          if (reductionDb < this.deepestDb) this.deepestDb = reductionDb;
        }
        const factor = this.makeup.at(i, count) * (reductionDb === 0 ? 1 : toGain(reductionDb));
        for (let channel = 0; channel < blocks.length; channel++) {
          const delay = this.delays[channel], x = blocks[channel][i];
          blocks[channel][i] = factor * delay[index];
          delay[index] = x;
        }
        index = index + 1 === lookahead ? 0 : index + 1;
      }
      this.reductionDb = Math.abs(reductionDb) < TINY ? 0 : reductionDb;
      this.delayIndex = index;
    }
  }

  // The console on buffers that are known in advance: it reads ahead of what plays, so nothing sounds late.
  class Desk {
    // stems: a list of channels each, Float32Arrays, one for a mono stem; reference and plain, what else may
    // play: [left, right] or null; specs and lookahead (in samples): {track, master_bus}.
    constructor({ stems, numSamples, reference, plain, specs, lookahead, sampleRate }) {
      Object.assign(this, { stems, numSamples });
      const trackSpecs = [...specs.track, { name: "on", low: 0, high: 1 }]; // 0 where a stem is muted
      this.chains = stems.map(({ length }) => new Chain(length, trackSpecs, lookahead.track, sampleRate));
      this.master = new Chain(2, specs.master_bus, lookahead.master_bus, sampleRate);
      this.ahead = lookahead.track + lookahead.master_bus;
      this.masterAhead = lookahead.master_bus;
      // reference: 0 where the mix plays, 1 where the reference does; gain: its level; the plain sum likewise
      this.others = [["reference", "gain", reference], ["plain", "plain_gain", plain]];
      const names = this.others.flatMap(([on, gain]) => [on, gain]);
      this.source = new Knobs(names.map((name) => ({ name, low: 0, high: 1 })));
      this.source.set({ reference: 0, gain: 1, plain: 0, plain_gain: 1 }, true);
      [this.blocks, this.mix] = [0, 1].map(() => [new Float64Array(BLOCK), new Float64Array(BLOCK)]);
      this.next = 0; // the sample that plays next
      this.loop = true;
      this.playing = false;
      this.readMeters();
    }

    // values: {tracks: [{name: value, on: 0 or 1}], master_bus: {name: value}}
    set(values, atOnce = false) {
      this.values = values;
      this.chains.forEach((chain, i) => {
        chain.set(values.tracks[i], atOnce);
        if (atOnce) chain.placement = new Placement(this.stems[i].length);
      });
      this.master.set(values.master_bus, atOnce);
      if (atOnce) this.master.placement = new Placement(2);
    }

    listenTo(change) {
      this.source.set({ ...this.source.target, ...change }, !this.playing);
    }

    // Start at a sample of the clip: what was is forgotten, what lies ahead is read.
    play(from = 0) {
      const start = Math.min(from, this.numSamples - 1);
      [...this.chains, this.master].forEach((chain) => chain.reset());
      this.set(this.values, true);
      this.next = start - this.ahead;
      while (this.next < start) this.advance(Math.min(BLOCK, start - this.next));
      this.ramps = this.others.map(() => ({ blend: new Ramp(), level: new Ramp() }));
      this.entry = new Ramp(); // a clip entered in its middle would click
      this.entry.next(start > 0 ? 0 : 1);
      this.playing = true;
      this.readMeters();
    }

    // Fill left and right with what comes next, or with silence.
    process(left, right) {
      for (let start = 0; start < left.length; start += BLOCK) {
        const count = Math.min(BLOCK, left.length - start);
        if (this.playing) {
          const at = this.next;
          this.advance(count);
          this.deliver(at, count);
        } else this.mix.forEach((channel) => channel.fill(0));
        left.set(this.mix[0].subarray(0, count), start);
        right.set(this.mix[1].subarray(0, count), start);
      }
    }

    // Run the console `count` samples on; the mix that plays then is in this.mix.
    advance(count) {
      const { numSamples, mix, master } = this, read = this.next + this.ahead;
      const live = this.loop ? count : numSamples - read;
      mix.forEach((channel) => channel.fill(0));
      this.stems.forEach((channels, strip) => {
        const chain = this.chains[strip], blocks = this.blocks.slice(0, channels.length);
        channels.forEach((samples, c) => {
          for (let i = 0; i < count; i++) {
            const at = read + i;
            blocks[c][i] = at < numSamples ? samples[at] : this.loop ? samples[at % numSamples] : 0;
          }
        });
        chain.process(blocks, count, live);
        const peak = chain.placement.add(blocks, imageGains(chain.knobs.now, blocks.length), mix, count);
        this.peaks[strip] = Math.max(this.peaks[strip], peak);
      });
      master.process(mix, count, this.loop ? count : live + (this.ahead - this.masterAhead));
      mix.forEach((channel, side) => {
        this.blocks[side].set(channel);
        channel.fill(0);
      });
      master.placement.add(this.blocks, outputGains(master.knobs.now), mix, count);
      this.next += count;
      if (this.loop && this.next >= numSamples) this.next %= numSamples;
    }

    // From the mix to what the listener gets: another sound instead, the end of the clip, the master's meter.
    deliver(at, count) {
      this.source.glide();
      this.ramps.forEach(({ blend, level }, k) => {
        const [on, gain] = this.others[k];
        blend.next(this.source.now[on]);
        level.next(this.source.now[gain]);
      });
      this.entry.next(1);
      const { numSamples, loop } = this;
      this.mix.forEach((channel, side) => {
        for (let i = 0; i < count; i++) {
          const from = loop ? (at + i) % numSamples : at + i;
          let y = from < numSamples ? this.entry.at(i, count) * channel[i] : 0;
          this.ramps.forEach(({ blend, level }, k) => {
            y += blend.at(i, count) * (level.at(i, count) * (this.others[k][2]?.[side][from] ?? 0) - y);
          });
          channel[i] = y;
          this.masterPeak = Math.max(this.masterPeak, Math.abs(y));
        }
      });
      if (!loop && this.next >= numSamples) this.playing = false;
    }

    // What the meters show, since they were read last.
    readMeters() {
      const meters = {
        position: this.playing ? this.next : 0,
        playing: this.playing,
        peaks: this.peaks,
        masterPeak: this.masterPeak,
        reductionsDb: this.chains.map(({ deepestDb }) => deepestDb),
        masterReductionDb: this.master.deepestDb,
      };
      [...this.chains, this.master].forEach((chain) => (chain.deepestDb = chain.reductionDb));
      this.peaks = new Float32Array(this.stems.length);
      this.masterPeak = 0;
      return meters;
    }
  }

  // Stands between the desk and those who play it: messages in, meters out every METER_SAMPLES.
  class Engine {
    constructor({ values, playing, loop = true, ...setup }, send) {
      this.desk = new Desk(setup);
      this.desk.loop = loop;
      this.desk.set(values, true);
      this.send = send;
      this.untilMeters = METER_SAMPLES;
      if (playing) this.desk.play();
    }

    receive([action, value]) {
      if (action === "set") this.desk.set(value);
      if (action === "play") this.desk.play(value);
      if (action === "stop") this.desk.playing = false;
      if (action === "loop") this.desk.loop = value;
      if (action === "listen") this.desk.listenTo(value); // {reference: 0 or 1, gain, ...}, or some of them
    }

    process(left, right) {
      const before = this.desk.playing;
      this.desk.process(left, right);
      this.untilMeters -= left.length;
      if (this.untilMeters > 0 && before === this.desk.playing) return;
      this.untilMeters = METER_SAMPLES;
      if (before) this.send(this.desk.readMeters());
    }
  }

  return { BLOCK, OFF_DB, Chain, Engine, equalizerDb, gainComputer, imageGains, outputGains, toGain };
}
