// The mix as set, rendered whole, with its loudness and its correlation: audio/loudness.py in JavaScript. It
// takes what makeDsp() gives. One function holds everything: its text is handed to a worker as it is.
export function makeLevels({ BLOCK, Chain, imageGains, outputGains, toGain }) {
  // Through second-order sections (b0, b1, b2, a0, a1, a2 each), a0 = 1.
  function filtered(channel, sections) {
    return sections.reduce((samples, [b0, b1, b2, , a1, a2]) => {
      const out = new Float64Array(samples.length);
      let s1 = 0, s2 = 0;
      for (let i = 0; i < out.length; i++) {
        const x = samples[i], y = b0 * x + s1;
        s1 = b1 * x - a1 * y + s2;
        s2 = b2 * x - a2 * y;
        out[i] = y;
      }
      return out;
    }, channel);
  }

  // Integrated loudness in LUFS (ITU-R BS.1770-4), -Infinity for silence.
  // table: its filters (k_weighting), its blocks (block_s, step) and their gates, offset_db.
  function loudness(channels, sampleRate, table) {
    const { k_weighting, block_s, step, absolute_gate, relative_gate, offset_db } = table;
    const count = channels[0].length;
    const sums = new Float64Array(count + 1); // of the energy up to each sample
    channels.forEach((channel) => {
      const weighted = filtered(channel, k_weighting);
      let sum = 0;
      for (let i = 0; i < count; i++) {
        sum += weighted[i] * weighted[i];
        sums[i + 1] += sum;
      }
    });
    const mean = (values) => values.reduce((sum, x) => sum + x, 0) / values.length;
    const blocks = [];
    if (count < block_s * sampleRate) blocks.push(sums[count] / count);
    else {
      const number = Math.round((count / sampleRate - block_s) / (block_s * step)) + 1;
      for (let i = 0; i < number; i++) {
        const first = Math.trunc(block_s * i * step * sampleRate);
        const last = Math.min(Math.trunc(block_s * (i * step + 1) * sampleRate), count);
        blocks.push((sums[last] - sums[first]) / (block_s * sampleRate));
      }
    }
    const heard = blocks.filter((power) => power >= absolute_gate);
    if (!heard.length) return -Infinity;
    const gate = relative_gate * mean(heard);
    return offset_db + 10 * Math.log10(mean(heard.filter((power) => power > gate)));
  }

  // Of left and right, -1 to 1; NaN where one of them is silent.
  function correlation([left, right]) {
    let both = 0, ours = 0, theirs = 0;
    for (let i = 0; i < left.length; i++) {
      both += left[i] * right[i];
      ours += left[i] * left[i];
      theirs += right[i] * right[i];
    }
    return both / Math.sqrt(ours * theirs);
  }

  // A whole clip through a chain whose knobs stand still; what comes out is not late.
  function runChain(channels, values, specs, lookahead, sampleRate) {
    const chain = new Chain(channels.length, specs, lookahead, sampleRate);
    chain.set(values, true);
    const count = channels[0].length, end = count + lookahead;
    const out = channels.map(() => new Float32Array(count));
    const blocks = channels.map(() => new Float64Array(BLOCK));
    for (let start = 0; start < end; start += BLOCK) {
      const size = Math.min(BLOCK, end - start);
      blocks.forEach((block, i) => block.fill(0).set(channels[i].subarray(start, start + size)));
      chain.process(blocks, size, count - start);
      const late = Math.max(0, lookahead - start); // these belong before the clip
      if (late < size)
        blocks.forEach((block, i) => out[i].set(block.subarray(late, size), start + late - lookahead));
    }
    return out;
  }

  // Adds channels, each with a gain, to one side.
  const addTo = (sum, channels, gains) => channels.forEach((channel, c) => {
    const gain = gains[c];
    if (gain !== 0) for (let i = 0; i < sum.length; i++) sum[i] += gain * channel[i];
  });

  // Renders the mix that the desk would play. setup: engineSetup's.
  class Renderer {
    constructor(setup) {
      Object.assign(this, { ...setup, kept: setup.stems.map(() => ({})) });
    }

    // values: soundingValues'
    mix(values) {
      const { stems, specs, lookahead, sampleRate, numSamples } = this;
      const mix = [0, 1].map(() => new Float32Array(numSamples));
      stems.forEach((_, i) => {
        const gains = imageGains(values.tracks[i], stems[i].length);
        if (gains.flat().every((gain) => gain === 0)) return;
        const { channels, gain } = this.strip(i, values.tracks[i]);
        mix.forEach((sum, side) => addTo(sum, channels, gains[side].map((factor) => gain * factor)));
      });
      const { master_bus } = values;
      const out = runChain(mix, master_bus, specs.master_bus, lookahead.master_bus, sampleRate);
      return outputGains(master_bus).map((gains) => {
        const sum = new Float32Array(numSamples);
        addTo(sum, out, gains);
        return sum;
      });
    }

    // A stem after its compressor: kept until a knob of it is turned that comes before.
    strip(index, { width, pan, fader_db, on, ...values }) {
      const linear = values.ratio === 1; // then its gains are factors
      const gain = linear ? toGain(values.input_gain_db + values.makeup_gain_db) : 1;
      const settings = linear ? { ...values, input_gain_db: 0, makeup_gain_db: 0 } : values;
      const key = JSON.stringify(settings);
      if (this.kept[index].key !== key) {
        const { stems, specs, lookahead, sampleRate } = this;
        const own = specs.track.filter(({ name }) => name in settings);
        const channels = runChain(stems[index], settings, own, lookahead.track, sampleRate);
        this.kept[index] = { key, channels };
      }
      return { channels: this.kept[index].channels, gain };
    }
  }

  return { Renderer, loudness, correlation };
}
