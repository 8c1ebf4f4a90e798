/** Longest name that is compared; a longer one is no typing error. */
const maxLength = 80
/** Names that are looked at, and those of fitting length that are compared: one wrong name costs a bounded time. */
const maxNames = 2_000
const maxCompared = 500
/** Most letters that a typing error gets wrong. */
const maxDistance = 4

/**
 * Returns the names closest to `text`, best first. The distance is the number of letters to change, add, drop or swap
 * (optimal string alignment), at most 4 and at most a third of the length. Case is ignored.
 * @param names - the first 2,000 are looked at, and the first 500 of fitting length compared
 * @param count - most names returned
 */
export function closestNames(text: string, names: Iterable<string>, count = 3): string[] {
  if (text.length > maxLength) return []
  const wanted = text.toLowerCase()
  const bound = Math.min(maxDistance, Math.max(1, Math.floor(wanted.length / 3)))
  const near: { name: string; distance: number }[] = []
  let seen = 0
  let compared = 0
  for (const name of names) {
    if (++seen > maxNames) break
    if (Math.abs(name.length - wanted.length) > bound) continue
    if (++compared > maxCompared) break
    const distance = editDistance(wanted, name.toLowerCase(), bound)
    if (distance <= bound) near.push({ name, distance })
  }
  near.sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
  return near.slice(0, count).map(({ name }) => name)
}

/**
 * Computes only the cells within `bound` of the diagonal: every other one is larger than `bound` (Ukkonen 1985).
 * @returns more than `bound` if the distance is larger
 */
function editDistance(a: string, b: string, bound: number): number {
  const outside = bound + 1
  let beforeLast = new Uint8Array(b.length + 1).fill(outside)
  let last = Uint8Array.from(beforeLast, (_, j) => Math.min(j, outside))
  let row = beforeLast.slice()
  for (let i = 1; i <= a.length; i++) {
    row.fill(outside)
    if (i <= bound) row[0] = i
    let least = at(row, 0)
    for (let j = Math.max(1, i - bound); j <= Math.min(b.length, i + bound); j++) {
      const change = at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swap = isSwap ? at(beforeLast, j - 2) + 1 : outside
      row[j] = Math.min(change, at(last, j) + 1, at(row, j - 1) + 1, swap, outside)
      least = Math.min(least, at(row, j))
    }
    if (least > bound) return outside
    ;[beforeLast, last, row] = [last, row, beforeLast]
  }
  return at(last, b.length)
}

function at(row: Uint8Array, index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
