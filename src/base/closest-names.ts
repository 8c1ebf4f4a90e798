/** Longest name that is compared; a longer one is no typing error. */
const maxLength = 80
/** Most names that are compared, so that one wrong name costs a bounded time. */
const maxNames = 2_000

/**
 * Returns the names closest to `text`, best first. The distance is the number of letters to change, add, drop or swap
 * (optimal string alignment) and at most a third of the length. Case is ignored.
 * @param names - the first 2,000 are compared
 * @param count - most names returned
 */
export function closestNames(text: string, names: Iterable<string>, count = 3): string[] {
  if (text.length > maxLength) return []
  const wanted = text.toLowerCase()
  const bound = Math.max(1, Math.floor(wanted.length / 3))
  const near: { name: string; distance: number }[] = []
  let seen = 0
  for (const name of names) {
    if (++seen > maxNames) break
    if (Math.abs(name.length - wanted.length) > bound) continue
    const distance = editDistance(wanted, name.toLowerCase())
    if (distance <= bound) near.push({ name, distance })
  }
  near.sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
  return near.slice(0, count).map(({ name }) => name)
}

function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let best = Math.min(change, at(last, j) + 1, at(row, j - 1) + 1)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isSwap) best = Math.min(best, at(beforeLast, j - 2) + 1)
      row.push(best)
    }
    beforeLast = last
    last = row
  }
  return at(last, b.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
