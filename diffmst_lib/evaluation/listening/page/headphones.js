// A check for headphones with Huggins pitch (Cramer and Huggins 1958), as Milne et al. 2021 use it: noise that is
// the same in both ears, but for one narrow band, in which the right ear's is upside down. Each ear alone hears
// noise. Both together hear a faint tone, but only where each ear has a sound of its own.

const CENTER_HZ = 600;
const HALF_BAND = 0.06;
const NOISE_S = 1;
const PAUSE_S = 0.5;
const RAMP_S = 0.03;
const NOISE_RMS = 0.05;
const TRIALS = 6;

function whiteNoise(length) {
  const noise = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    noise[i] = NOISE_RMS * Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  }
  return noise;
}

// The part of a noise that lies in the band: those lines of its Fourier transform. Every wave is read from one
// table, at every k-th place: thousands of cosines a line would make the listener wait.
function bandOf(noise, sampleRate) {
  const { length } = noise;
  const band = new Float32Array(length);
  const cosine = Float64Array.from({ length }, (_, i) => Math.cos((2 * Math.PI * i) / length));
  const sine = Float64Array.from({ length }, (_, i) => Math.sin((2 * Math.PI * i) / length));
  const line = sampleRate / length; // Hz between lines
  const first = Math.ceil((CENTER_HZ * (1 - HALF_BAND)) / line);
  const last = Math.floor((CENTER_HZ * (1 + HALF_BAND)) / line);
  for (let k = first; k <= last; k++) {
    let real = 0;
    let imaginary = 0;
    for (let i = 0, at = 0; i < length; i++, at = (at + k) % length) {
      real += noise[i] * cosine[at];
      imaginary += noise[i] * sine[at];
    }
    for (let i = 0, at = 0; i < length; i++, at = (at + k) % length) {
      band[i] += (2 / length) * (real * cosine[at] + imaginary * sine[at]);
    }
  }
  return band;
}

// Three noises one after the other, [left, right]; in the one numbered `target` is the tone.
function threeNoises(sampleRate, target) {
  const length = Math.round(NOISE_S * sampleRate);
  const ramp = Math.round(RAMP_S * sampleRate);
  const total = Math.round(3 * NOISE_S * sampleRate + 2 * PAUSE_S * sampleRate);
  const ears = [new Float32Array(total), new Float32Array(total)];
  for (let interval = 0; interval < 3; interval++) {
    const left = whiteNoise(length);
    const band = interval === target ? bandOf(left, sampleRate) : null;
    const start = Math.round(interval * (NOISE_S + PAUSE_S) * sampleRate);
    for (let i = 0; i < length; i++) {
      const edge = Math.min(1, (i + 0.5) / ramp, (length - i - 0.5) / ramp);
      const level = 0.5 - 0.5 * Math.cos(Math.PI * edge);
      ears[0][start + i] = level * left[i];
      ears[1][start + i] = level * (band ? left[i] - 2 * band[i] : left[i]);
    }
  }
  return ears;
}

class HeadphoneCheck {
  constructor(player) {
    this.player = player;
  }

  next() {
    this.target = Math.floor(3 * Math.random());
    this.buffer = null;
    this.played = false;
  }

  // Plays the three noises; shows(interval) is called as each begins, shows(-1) at the end.
  async play(shows) {
    this.silence();
    const context = this.player.open();
    await context.resume();
    if (!this.buffer) {
      const ears = threeNoises(context.sampleRate, this.target);
      this.buffer = new AudioBuffer({
        length: ears[0].length, numberOfChannels: 2, sampleRate: context.sampleRate,
      });
      ears.forEach((samples, ear) => this.buffer.copyToChannel(samples, ear));
    }
    const source = (this.source = new AudioBufferSourceNode(context, { buffer: this.buffer }));
    source.connect(context.destination);
    const begins = context.currentTime + 0.05;
    source.start(begins);
    const show = () => {
      if (source !== this.source) return;
      const at = (context.currentTime - begins) / (NOISE_S + PAUSE_S);
      shows(at < 0 || at % 1 > NOISE_S / (NOISE_S + PAUSE_S) ? -1 : Math.floor(at));
      requestAnimationFrame(show);
    };
    source.onended = () => {
      if (source !== this.source) return;
      this.played = true;
      this.source = null;
      shows(-1);
    };
    show();
  }

  silence() {
    this.source?.stop();
    this.source = null;
  }
}
