/** Whether what is called `key` falls under `scope`: every name in it is one of `key`'s. Undefined is everything. */
export function isUnder(key: string, scope: string | undefined): boolean {
  if (scope === undefined) return true
  const names = key.split(" ")
  return scope.split(" ").every((name) => names.includes(name))
}

/** Two agents, whichever speaks: the scope of a pair, and the room of their direct messages. */
export function pairOf(a: string, b: string): string {
  return a < b ? towards(a, b) : towards(b, a)
}

/** An agent in a room. */
export const authorIn = joined(" in ")
/** One agent towards another. */
export const towards = joined(" ")

/**
 * Makes keys of two names. Each layer asks for the same ones, one after the other, and whatever looks a text up for the
 * first time has to go over all of it: the last ones are kept.
 */
function joined(between: string): (a: string, b: string) => string {
  let newest = { a: "", b: "", key: between }
  let older = newest
  return (a, b) => {
    if (newest.a === a && newest.b === b) return newest.key
    const found = older.a === a && older.b === b ? older : { a, b, key: a + between + b }
    older = newest
    newest = found
    return found.key
  }
}

const nobody: readonly string[] = []

/** Each of two lists of agents once, without `self`. */
export function othersThan(
  self: string,
  first: readonly string[],
  second: readonly string[],
): readonly string[] {
  const [only] = first
  if (only === undefined && second.length === 0) return nobody
  // Nearly always it is the one it is written to.
  if (first.length === 1 && only !== self && second.every((agent) => agent === only)) return first
  const others: string[] = []
  const add = (agent: string) => {
    if (agent !== self && !others.includes(agent)) others.push(agent)
  }
  first.forEach(add)
  second.forEach(add)
  return others
}
