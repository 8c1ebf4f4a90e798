/** Decides what grants allow. Pure: the same grants, act and time always give the same verdict. */
import { type Grant, type Profile, profiles } from "../protocol/grants.js"
import { type Channel, matchesAny } from "../protocol/names.js"

/** An act of an agent that needs a right. */
export type Act =
  | { readonly kind: "enter" }
  | { readonly kind: "read" | "write"; readonly channel: Channel }
  /** A message to an agent or a role, or a statement in a deal. */
  | { readonly kind: "direct" }
  /** Taking tasks of a role, or only seeing them. */
  | { readonly kind: "serve" | "see"; readonly role: string }
  /** Claiming files. */
  | { readonly kind: "claim-files" }
  /** Seeing the deals of other agents, and the audit log. */
  | { readonly kind: "audit" }

/** The answer to an act: allowed, or the rule that refuses it. */
export type Verdict = { readonly isAllowed: true } | { readonly isAllowed: false; readonly rule: string }

/** Where and when a grant must be valid. */
export interface GrantScope {
  /** `server_id` of the relay. */
  readonly relay: string
  /** Milliseconds since the Unix epoch. */
  readonly now: number
}

/** Reports whether a grant is for this relay and has not expired. */
export function isValid({ aud, exp }: Grant, { relay, now }: GrantScope): boolean {
  return aud === relay && (exp === undefined || now < exp)
}

/** Decides an act. What no valid grant allows is refused; one that allows it is enough. */
export function decide(grants: readonly Grant[], act: Act, scope: GrantScope): Verdict {
  const valid = grants.filter((grant) => isValid(grant, scope))
  if (valid.length === 0) return refused("no valid grant")
  if (valid.some((grant) => allows(grant, act))) return { isAllowed: true }
  const names = [...new Set(valid.map(({ profile }) => profile))].join(", ")
  switch (act.kind) {
    case "read":
    case "write":
      return refused(`the grant (${names}) does not let you ${act.kind} ${act.channel}`)
    case "direct":
      return refused(`the grant (${names}) allows no direct messages`)
    case "serve":
    case "see":
      return refused(`the grant (${names}) does not let you ${act.kind} the role ${act.role}`)
    case "claim-files":
      return refused(`the grant (${names}) does not let you claim files`)
    case "audit":
      return refused(`the grant (${names}) does not let you see what others do`)
    case "enter":
      return refused("no valid grant")
  }
}

/** The most that valid grants allow together; undefined if there is none. */
export interface Rights {
  readonly profile: Profile
  readonly read: readonly string[]
  readonly write: readonly string[]
  readonly roles: readonly string[]
  /** When the first of them ends. */
  readonly exp?: number
}

/** Sums up grants for people. */
export function rightsOf(grants: readonly Grant[], scope: GrantScope): Rights | undefined {
  const valid = grants.filter((grant) => isValid(grant, scope))
  const [first] = valid
  if (first === undefined) return undefined
  const readsAll = valid.some((grant) => profiles[grant.profile].readsAll)
  const all = (key: "read" | "write" | "roles") => [...new Set(valid.flatMap((grant) => grant[key]))]
  const ends = valid.flatMap(({ exp }) => exp ?? [])
  const { profile } = valid.find((grant) => profiles[grant.profile].isListed) ?? first
  const exp = ends.length > 0 ? { exp: Math.min(...ends) } : {}
  return { profile, read: readsAll ? ["#>"] : all("read"), write: all("write"), roles: all("roles"), ...exp }
}

function allows({ profile, read, write, roles }: Grant, act: Act): boolean {
  const may = profiles[profile]
  switch (act.kind) {
    case "read":
      return may.readsAll || matchesAny(read, act.channel)
    case "write":
      return may.writes && matchesAny(write, act.channel)
    case "serve":
      return may.works && hasRole(roles, act.role)
    case "see":
      return may.readsAll || hasRole(roles, act.role)
    default:
      return { enter: true, direct: may.direct, "claim-files": may.works, audit: may.readsAll }[act.kind]
  }
}

function hasRole(roles: readonly string[], wanted: string): boolean {
  return roles.some((role) => role === "*" || role.toLowerCase() === wanted.toLowerCase())
}

function refused(rule: string): Verdict {
  return { isAllowed: false, rule }
}
