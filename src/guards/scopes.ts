/** Whether what is called `key` falls under `scope`: every name in it is one of `key`'s. Undefined is everything. */
export function isUnder(key: string, scope: string | undefined): boolean {
  if (scope === undefined) return true
  const names = key.split(" ")
  return scope.split(" ").every((name) => names.includes(name))
}

/** Two agents, whichever speaks: the scope of a pair, and the room of their direct messages. */
export function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}

const nobody: readonly string[] = []

/** Each of two lists of agents once, without `self`. */
export function othersThan(
  self: string,
  first: readonly string[],
  second: readonly string[],
): readonly string[] {
  if (first.length + second.length === 0) return nobody
  if (first.length === 1 && second.length === 0 && first[0] !== self) return first
  const others = new Set(first)
  for (const agent of second) others.add(agent)
  others.delete(self)
  return [...others]
}
