// What a listener has done so far: kept in the browser at every change, and saved as a file.

const TEST = JSON.parse(document.getElementById("test").textContent);
const PLACE = `diffmst-listening-${TEST.test}`;
const FORMAT = "diffmst-listening";
const VERSION = 1;

const now = () => new Date().toISOString();

function randomName() {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// A random order (Fisher and Yates), of numbers that nobody can foresee.
function shuffled(list) {
  const order = [...list];
  for (let last = order.length - 1; last > 0; last--) {
    const pick = Math.floor((crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32) * (last + 1));
    [order[last], order[pick]] = [order[pick], order[last]];
  }
  return order;
}

function newSitting() {
  return {
    format: FORMAT,
    version: VERSION,
    test: TEST.test,
    title: TEST.title,
    listener: randomName(),
    started: now(),
    saved: now(),
    finished: null,
    step: 0,
    headphones: { on: null, attempts: [] },
    pages: shuffled(TEST.pages).map(({ page, stimuli }) => ({
      page,
      order: shuffled(stimuli),
      ratings: Object.fromEntries(stimuli.map((id) => [id, {}])),
      heard_s: {},
    })),
    sealed: TEST.sealed,
  };
}

// Whether a text is a sitting of this test, whole: what a browser has kept may be damaged.
function isSitting(sitting) {
  const whole = (page) => {
    const known = TEST.pages.find((one) => one.page === page.page);
    return known && [...page.order].sort().join() === known.stimuli.join()
      && known.stimuli.every((id) => page.ratings[id]) && page.heard_s;
  };
  try {
    return sitting.format === FORMAT && sitting.test === TEST.test && typeof sitting.listener === "string"
      && Number.isInteger(sitting.step) && Array.isArray(sitting.headphones.attempts)
      && sitting.pages.length === TEST.pages.length && sitting.pages.every(whole);
  } catch {
    return false;
  }
}

class Keeper {
  constructor(onTrouble) {
    this.onTrouble = onTrouble;
    this.sitting = this.read() ?? newSitting();
    this.save();
  }

  read() {
    let text = null;
    try {
      text = localStorage.getItem(PLACE);
      const sitting = JSON.parse(text);
      if (isSitting(sitting)) return sitting;
      if (text) localStorage.setItem(`${PLACE}-damaged-${Date.now()}`, text); // perhaps somebody can read it
    } catch (error) {
      if (text && error instanceof SyntaxError) localStorage.setItem(`${PLACE}-damaged-${Date.now()}`, text);
    }
    return null;
  }

  save() {
    this.sitting.saved = now();
    try {
      localStorage.setItem(PLACE, JSON.stringify(this.sitting));
      this.keeps = true;
    } catch {
      this.keeps = false;
      this.onTrouble();
    }
  }

  // Another tab of this browser has gone on: so does this one, or it would write over it.
  adopt(text) {
    try {
      const sitting = JSON.parse(text);
      if (isSitting(sitting)) this.sitting = sitting;
    } catch {
      // this tab's is the better one
    }
  }

  // Put this sitting aside for another listener.
  putAside() {
    try {
      localStorage.setItem(`${PLACE}-by-${this.sitting.listener}`, JSON.stringify(this.sitting));
    } catch {
      return false;
    }
    this.sitting = newSitting();
    this.save();
    return true;
  }

  // Sittings of this test that were put aside.
  others() {
    try {
      return Object.keys(localStorage)
        .filter((name) => name.startsWith(`${PLACE}-by-`))
        .map((name) => JSON.parse(localStorage.getItem(name)));
    } catch {
      return [];
    }
  }
}

function download(sitting) {
  const file = new Blob([JSON.stringify(sitting, null, 1)], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = `ratings-${sitting.test}-${sitting.listener}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
