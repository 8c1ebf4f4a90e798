import type { GuardMessage } from "./guard-message.js"

// A scope names what a guard stops: `@a`, `#channel`, `+role`, `@a @b`, `@a in #channel`, `@a to @b`,
// `@a to @b in #channel`, or `192.0.2.7 in #channel` for the authors that share an address. State is kept under the same names.

/** Reports whether every name in `scope` is one of the names in `key`. Everything is under `undefined`. */
export function isUnder(key: string, scope: string | undefined): boolean {
  if (scope === undefined) return true
  const names = key.split(" ")
  return scope.split(" ").every((name) => names.includes(name))
}

/** Returns two agents in a fixed order: the scope of a pair, and the channel of their direct messages. */
export function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}

/** Reports whether a channel stands for the direct messages of two agents. */
export function isDirect(channel: string): boolean {
  return channel.includes(" ")
}

export function authorIn(agent: string, channel: string): string {
  return `${agent} in ${channel}`
}

/** Returns the scope of those whose messages in a channel count together. Nobody disturbs the direct messages of others. */
export function classIn({ channel, sharedOrigin }: Pick<GuardMessage, "channel" | "sharedOrigin">): string {
  return sharedOrigin === undefined || isDirect(channel) ? channel : authorIn(sharedOrigin, channel)
}

/** Returns the channel of a {@link classIn}. */
export function channelOf(scope: string): string {
  return scope.split(" in ").at(-1) ?? scope
}

/** Returns a scope as its agents see it: the address that they share is not for everybody. */
export function withoutOrigin(scope: string): string {
  return scope.startsWith("@") ? scope : channelOf(scope)
}

/** Returns the names a scope stops: `@a` of `@a in #channel` and `@a to @b`, both of `@a @b`. */
export function stoppedBy(scope: string): readonly string[] {
  return (scope.split(/ (?:in|to) /, 1)[0] ?? "").split(" ")
}

export function towards(agent: string, other: string): string {
  return `${agent} to ${other}`
}

/** Returns each agent of a list once, without `self`. */
export function othersThan(self: string, agents: readonly string[]): readonly string[] {
  // Nearly always the list is empty or holds the one recipient.
  if (agents.length === 0 || (agents.length === 1 && agents[0] !== self)) return agents
  return [...new Set(agents)].filter((agent) => agent !== self)
}
