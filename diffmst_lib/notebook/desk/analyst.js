// What is measured of the mix as set: its loudness and its correlation and, with their script, its features.

export function makeAnalyst({ Renderer, loudness, correlation }, features) {
  // engine: engineSetup's; levels and table: the library's constants for loudness and features.
  return class Analyst {
    constructor(engine, levels, table) {
      Object.assign(this, { levels, sampleRate: engine.sampleRate, renderer: new Renderer(engine) });
      this.features = features && table && new features.FeatureMeter(engine.sampleRate, table);
    }

    // values: soundingValues'
    measure({ values, equalPower }) {
      const mix = this.renderer.mix(values);
      const lufs = loudness(mix, this.sampleRate, this.levels);
      return { lufs, correlation: correlation(mix), ...this.features?.measure(mix, equalPower) };
    }
  };
}

// A page without the panel of features does not hold their script.
const featuresCode = () => (typeof makeFeatures === "undefined" ? "null" : `(${makeFeatures})()`);
const analystCode = () => `
const Analyst = (${makeAnalyst})((${makeLevels})((${makeDsp})()), ${featuresCode()});
let analyst;
onmessage = ({ data: { engine, levels, table, ...request } }) => {
  if (engine) analyst = new Analyst(engine, levels, table);
  else postMessage(analyst.measure(request));
};
postMessage("ready");`;

// Returns {ask, close}: ask(request) promises what an Analyst measures. It works in a thread of its own, so
// the desk stays smooth. Where a page may not start one, the page's own thread does the work.
export async function startAnalyst(engine, { levels, features: table }) {
  const worker = await startWorker();
  if (!worker) {
    const features = typeof makeFeatures === "undefined" ? null : makeFeatures();
    const analyst = new (makeAnalyst(makeLevels(makeDsp()), features))(engine, levels, table);
    const later = () => new Promise((resolve) => setTimeout(resolve, 50)); // let the knobs be drawn
    return { ask: (request) => later().then(() => analyst.measure(request)), close() {} };
  }
  worker.postMessage({ engine, levels, table }, engine.stems.flat().map((channel) => channel.buffer));
  const ask = (request) => new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(request);
  });
  return { ask, close: () => worker.terminate() };
}

function startWorker() {
  const url = URL.createObjectURL(new Blob([analystCode()], { type: "text/javascript" }));
  const started = new Promise((resolve) => {
    try {
      const worker = new Worker(url);
      worker.onmessage = () => resolve(worker);
      worker.onerror = (event) => {
        event.preventDefault(); // it is no error of the page
        resolve(null);
      };
    } catch {
      resolve(null);
    }
  });
  return started.finally(() => URL.revokeObjectURL(url));
}

// What the engine needs, decoded without a sound and so without a click.
async function decodeStems(setup, { files, scales }) {
  if (!globalThis.OfflineAudioContext) throw new Error("this browser has no Web Audio");
  const context = new OfflineAudioContext(2, 1, setup.sample_rate);
  const buffers = await decodeFiles(context, files.slice(0, setup.strips.length));
  return engineSetup({ ...setup, plain_sum: null }, buffers, scales, setup.sample_rate);
}

// Measures the mix as the knobs turn, from start() on: at once, or when what is being measured is done.
class Measurer {
  // listener: {busy(), show(answer, equalPower), fail(message)}, and idle() when the last is shown
  constructor(setup, player, listener) {
    Object.assign(this, { setup, player, listener, equalPower: false });
  }

  start() {
    this.started = true;
    if (!this.analyst) this.follow(this.values);
  }

  // values: soundingValues'
  async follow(values) {
    this.values = values;
    if (!this.started) return;
    this.waiting = true;
    this.listener.busy();
    if (this.running) return;
    this.running = true;
    try {
      while (this.waiting) {
        this.analyst ??= await this.open();
        if (this.closed) return this.analyst.close();
        this.waiting = false;
        const { equalPower } = this;
        const answer = await this.analyst.ask({ values: this.values, equalPower });
        if (this.closed) return;
        this.listener.show(answer, equalPower);
      }
      this.listener.idle();
    } catch (error) {
      if (!this.closed) this.listener.fail(error.message); // it stays busy: what is shown is old
    } finally {
      this.running = false;
    }
  }

  async open() {
    const { setup, player } = this;
    return startAnalyst(await decodeStems(setup, await player.files()), setup);
  }

  close() {
    this.closed = true;
    this.analyst?.close();
  }
}
