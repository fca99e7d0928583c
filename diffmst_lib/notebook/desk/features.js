// The audio features of a mix, equations 3 to 8: style/features.py (preset "default") and style/losses.py in
// JavaScript. One function holds everything: its text is handed to a worker as it is.
export function makeFeatures() {
  const CHANNELS = [0, 1];
  const mean = (values) => values.reduce((sum, x) => sum + x, 0) / values.length;

  // A Fourier transform for lengths with no prime factor above 5: Stockham's, which needs no reordering.
  class Fourier {
    constructor(length) {
      this.length = length;
      this.radices = [];
      for (let left = length; left > 1; left /= this.radices.at(-1))
        this.radices.push([4, 2, 3, 5].find((radix) => left % radix === 0));
      const angles = Float64Array.from({ length }, (_, k) => (-2 * Math.PI * k) / length);
      [this.cos, this.sin] = [angles.map(Math.cos), angles.map(Math.sin)];
      this.spare = CHANNELS.map(() => new Float64Array(length));
    }

    // [real, imaginary] parts in, the spectrum out; what was given is overwritten.
    transform(parts) {
      let from = parts, to = this.spare, stride = 1;
      for (const radix of this.radices) {
        if (radix === 4) this.fours(from, to, stride);
        else this.others(from, to, stride, radix);
        [from, to, stride] = [to, from, stride * radix];
      }
      if (from === this.spare) this.spare = parts;
      return from;
    }

    fours([xr, xi], [yr, yi], stride) {
      const { length, cos, sin } = this, quarter = length / 4;
      for (let start = 0; start < quarter; start += stride) { // `start` is the angle of the turn as well
        const c1 = cos[start], s1 = sin[start], c2 = cos[2 * start], s2 = sin[2 * start];
        const c3 = cos[3 * start], s3 = sin[3 * start];
        for (let i = start, k = 4 * start; i < start + stride; i++, k++) {
          const ar = xr[i] + xr[i + 2 * quarter], ai = xi[i] + xi[i + 2 * quarter];
          const br = xr[i] - xr[i + 2 * quarter], bi = xi[i] - xi[i + 2 * quarter];
          const cr = xr[i + quarter] + xr[i + 3 * quarter], ci = xi[i + quarter] + xi[i + 3 * quarter];
          // The difference of the other two, times -j.
          const dr = xi[i + quarter] - xi[i + 3 * quarter], di = xr[i + 3 * quarter] - xr[i + quarter];
          yr[k] = ar + cr;
          yi[k] = ai + ci;
          yr[k + stride] = (br + dr) * c1 - (bi + di) * s1;
          yi[k + stride] = (br + dr) * s1 + (bi + di) * c1;
          yr[k + 2 * stride] = (ar - cr) * c2 - (ai - ci) * s2;
          yi[k + 2 * stride] = (ar - cr) * s2 + (ai - ci) * c2;
          yr[k + 3 * stride] = (br - dr) * c3 - (bi - di) * s3;
          yi[k + 3 * stride] = (br - dr) * s3 + (bi - di) * c3;
        }
      }
    }

    others([xr, xi], [yr, yi], stride, radix) {
      const { length, cos, sin } = this, part = length / radix;
      for (let start = 0; start < part; start += stride)
        for (let j = 0; j < radix; j++)
          for (let i = start, k = radix * start + j * stride; i < start + stride; i++, k++) {
            let re = 0, im = 0;
            for (let m = 0; m < radix; m++) {
              const turn = (j * (start + m * part)) % length, c = cos[turn], s = sin[turn];
              re += c * xr[i + m * part] - s * xi[i + m * part];
              im += s * xr[i + m * part] + c * xi[i + m * part];
            }
            yr[k] = re;
            yi[k] = im;
          }
    }
  }

  // bark_fft_size: some 743 ms, four times a length without a prime factor above 5.
  function barkFftSize(sampleRate, window) {
    const smooth = (n) => [2, 3, 5].reduce((left, prime) => {
      while (left % prime === 0) left /= prime;
      return left;
    }, n) === 1;
    let quarter = Math.ceil((window * sampleRate) / 44100 / 4);
    while (!smooth(quarter)) quarter++;
    return 4 * quarter;
  }

  // The Bark spectra of mid and side, the magnitudes averaged over windows that overlap by three quarters.
  class BarkMeter {
    constructor(sampleRate, { edges_hz: edges, bark_fft: window, bark_floor: floor, side_floor: sideFloor }) {
      const length = barkFftSize(sampleRate, window), half = length / 2;
      Object.assign(this, { length, half, floor, sideFloor, scale: window / length });
      this.fourier = new Fourier(length);
      this.window = Float64Array.from({ length }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / length));
      this.parts = CHANNELS.map(() => new Float64Array(length));
      const perHz = half / (sampleRate / 2);
      this.bands = edges.slice(2).map((high, band) => {
        const [low, center] = edges.slice(band, band + 2), first = Math.ceil(low * perHz);
        const bins = Math.max(0, Math.min(half, Math.floor(high * perHz)) - first + 1);
        const weight = (hz) => Math.min((hz - low) / (center - low), (high - hz) / (high - center));
        return { first, weights: Array.from({ length: bins }, (_, i) => weight((first + i) / perHz)) };
      });
    }

    measure(channels) {
      const [mid, side] = this.meanMagnitudes(channels).map((magnitudes) =>
        this.bands.map(({ first, weights }) => {
          const sum = weights.reduce((total, weight, i) => total + weight * magnitudes[first + i], 0);
          return this.scale * sum;
        }));
      const heard = side.map((band, i) => Math.max(band, this.sideFloor * mid[i]));
      return [mid, heard].map((bands) => bands.map((band) => Math.log(band + this.floor)));
    }

    meanMagnitudes([left, right]) {
      const { length, half, window, fourier } = this, hop = length / 4;
      const count = Math.max(left.length, half + 1); // a shorter clip is filled up with zeros
      const frames = Math.floor(count / hop) + 1;
      const sums = CHANNELS.map(() => new Float64Array(half + 1));
      for (let frame = 0; frame < frames; frame++) {
        const [mid, side] = this.parts;
        for (let n = 0; n < length; n++) {
          let at = Math.abs(frame * hop - half + n); // reflected at both ends
          if (at >= count) at = 2 * (count - 1) - at;
          const l = left[at] ?? 0, r = right[at] ?? 0;
          mid[n] = window[n] * (l + r);
          side[n] = window[n] * (l - r);
        }
        // Both real signals in one complex transform: their spectra are its even and its odd part.
        const spectrum = fourier.transform(this.parts), [re, im] = spectrum;
        for (let k = 0; k <= half; k++) {
          const back = k === 0 ? 0 : length - k;
          sums[0][k] += 0.5 * Math.sqrt((re[k] + re[back]) ** 2 + (im[k] - im[back]) ** 2);
          sums[1][k] += 0.5 * Math.sqrt((re[k] - re[back]) ** 2 + (im[k] + im[back]) ** 2);
        }
        this.parts = spectrum;
      }
      return sums.map((sum) => sum.map((x) => x / frames));
    }
  }

  // audio_features of [left, right]; bark: a BarkMeter; power_floor and width_knee are those of features.py.
  function audioFeatures([left, right], bark, { power_floor, width_knee }) {
    const power = [0, 0], peak = [0, 0];
    let mid = 0, side = 0;
    for (let i = 0; i < left.length; i++) {
      const l = left[i], r = right[i];
      power[0] += l * l;
      power[1] += r * r;
      mid += (l + r) * (l + r);
      side += (l - r) * (l - r);
      peak[0] = Math.max(peak[0], Math.abs(l));
      peak[1] = Math.max(peak[1], Math.abs(r));
    }
    const powers = power.map((sum) => sum / left.length);
    const rms = powers.map((p) => Math.sqrt(Math.max(p, power_floor)));
    const ratio = side / left.length / Math.max(mid / left.length, power_floor);
    return {
      rms,
      crest_factor: rms.map((level, channel) => 20 * Math.log10(Math.max(peak[channel], level) / level)),
      stereo_width: ratio <= width_knee ? ratio : width_knee * (1 + Math.log(ratio / width_knee)),
      stereo_imbalance: (powers[1] - powers[0]) / Math.max(powers[1] + powers[0], power_floor),
      bark_spectrum: bark.measure([left, right]),
    };
  }

  // audio_feature_loss: weighted mean squared differences, and their sum.
  function featureLoss(mix, reference, weights) {
    const values = (features, name) => [features[name]].flat(2);
    const terms = Object.fromEntries(Object.entries(weights).map(([name, weight]) => {
      const [ours, theirs] = [values(mix, name), values(reference, name)];
      return [name, weight * mean(ours.map((x, i) => (x - theirs[i]) ** 2))];
    }));
    return { ...terms, total: Object.values(terms).reduce((sum, x) => sum + x, 0) };
  }

  // Measures mixes and compares them with the reference. table: the library's constants.
  class FeatureMeter {
    constructor(sampleRate, table) {
      Object.assign(this, { table, bark: new BarkMeter(sampleRate, table) });
    }

    // equalPower: whether the mix is brought to the power of the reference first.
    // Returns {features, loss, gainDb}: what that took, or null where it was not done. No reference, no loss.
    measure(mix, equalPower) {
      const { table, bark } = this, { reference, weights } = table;
      let gainDb = null;
      if (equalPower) {
        const powerOf = (channel) => channel.reduce((sum, x) => sum + x * x, 0) / channel.length;
        const power = mix.reduce((sum, channel) => sum + powerOf(channel), 0);
        const wanted = reference.rms.reduce((sum, level) => sum + level * level, 0);
        if (power > table.power_floor) {
          gainDb = 10 * Math.log10(wanted / power);
          const gain = 10 ** (gainDb / 20);
          mix = mix.map((channel) => channel.map((x) => gain * x));
        }
      }
      const features = audioFeatures(mix, bark, table);
      return { features, gainDb, loss: reference && featureLoss(features, reference, weights) };
    }
  }

  return { FeatureMeter, BarkMeter, audioFeatures, featureLoss };
}
