// Undo and redo: every state of the desk as a text.

const MOST_STEPS = 200;

export class DeskHistory {
  constructor(state) {
    Object.assign(this, { now: state, past: [], future: [], last: null });
  }

  // The desk has this state now. What one movement of one knob does is one step: then `move` and `knob` are
  // those of the step before.
  note(state, knob = null, move = null) {
    if (state === this.now) return;
    const goesOn = this.last && knob !== null && this.last.knob === knob && this.last.move === move;
    if (!goesOn) this.past.push(this.now);
    if (this.past.length > MOST_STEPS) this.past.shift();
    Object.assign(this, { now: state, future: [], last: { knob, move } });
  }

  // Returns the state before, or after, or undefined where there is none.
  undo() {
    return this.step(this.past, this.future);
  }
  redo() {
    return this.step(this.future, this.past);
  }
  step(from, to) {
    if (!from.length) return undefined;
    to.push(this.now);
    Object.assign(this, { now: from.pop(), last: null });
    return this.now;
  }
}
