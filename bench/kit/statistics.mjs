/** @param {readonly number[]} values - at least one */
export function median(values) {
  return quantile(values, 0.5)
}

/**
 * Returns the `q` quantile, interpolated.
 * @param {readonly number[] | Float64Array} values - at least one
 * @param {number} q - 0 to 1
 */
export function quantile(values, q) {
  const sorted = Float64Array.from(values).sort()
  const at = (sorted.length - 1) * q
  const below = sorted[Math.floor(at)] ?? Number.NaN
  const above = sorted[Math.ceil(at)] ?? Number.NaN
  return below + (above - below) * (at - Math.floor(at))
}

/** Formats median, minimum and maximum as one cell. @param {readonly number[]} values @param {number} digits */
export function spread(values, digits) {
  const [low, middle, high] = [0, 0.5, 1].map((q) => quantile(values, q).toFixed(digits))
  return `${String(middle)} (${String(low)}–${String(high)})`
}
