// The panels of a strip's equalizer and compressor: a curve, and the knobs.

const BAND_LABELS = {
  low_shelf: "Low shelf", peak_1: "Peak 1", peak_2: "Peak 2", peak_3: "Peak 3", peak_4: "Peak 4",
  high_shelf: "High shelf",
};
// For the eye, and spoken after the band's name.
const BAND_KNOBS = { gain_db: ["Gain", "gain"], frequency_hz: ["Freq.", "frequency"], q: ["Q", "Q"] };

// Returns {eq(owner), compressor(owner)}, which make {parts, knobs, curve} of a strip.
// turn, startOf and knobOf are the desk's.
function makeEffectPanels({ setup, turn, startOf, knobOf }) {
  const isBandGain = ({ effect, name }) => effect === "eq" && name.endsWith("_gain_db");
  const bandNames = setup.specs.track.filter(isBandGain).map(({ name }) => name.replace(/_gain_db$/, ""));
  return {
    eq(owner) {
      const knobNames = Object.keys(BAND_KNOBS);
      const specOf = (name) => owner.table.find((row) => row.name === name);
      const specs = Object.fromEntries(bandNames.map((band) => [
        band, Object.fromEntries(knobNames.map((name) => [name, specOf(`${band}_${name}`)])),
      ]));
      const ofBand = (band, values) =>
        Object.fromEntries(Object.entries(values).map(([name, value]) => [`${band}_${name}`, value]));
      const turnBand = (band, values) => turn(owner, ofBand(band, values), `${band} ${Object.keys(values)}`);
      const reset = (band) => turn(owner,
        Object.fromEntries(knobNames.map((name) => [`${band}_${name}`, startOf(owner, `${band}_${name}`)])));
      const curve = makeEqualizerCurve(owner.name, specs, BAND_LABELS, setup.sample_rate, turnBand, reset);
      const knobs = [];
      const bands = bandNames.map((band) => {
        const row = knobNames.map((name) => {
          const [short, spoken] = BAND_KNOBS[name];
          return knobOf(owner, `${band}_${name}`, { short, label: `${BAND_LABELS[band]} ${spoken}` });
        });
        knobs.push(...row);
        const title = make("strong", "", { textContent: BAND_LABELS[band] });
        return makeGroup("dm-band", BAND_LABELS[band], [title, ...row.map(({ root }) => root)]);
      });
      return { parts: [curve.root, make("div", "dm-bands", {}, bands)], knobs, curve };
    },
    compressor(owner) {
      const curve = makeCompressorCurve(owner.name), reduction = makeReductionMeter();
      const specs = owner.table.filter(({ effect }) => effect === "compressor");
      const knobs = specs.map(({ name }) => knobOf(owner, name));
      const side = make("div", "dm-knobs", {}, knobs.map(({ root }) => root));
      const parts = [make("div", "dm-dynamics", {}, [curve.root, side]), reduction.root];
      return { parts, knobs, curve, reduction };
    },
  };
}
