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
