/** Who is meant, found without a relay. */
import { readFileSync } from "node:fs"
import { rootPaths } from "../../daemon/files/paths.js"
import { ChatError } from "../../protocol/errors.js"
import { type AgentRef, type InstanceName, persistentIdPattern } from "../../protocol/names.js"
import type { Context } from "../context.js"
import { isNamed, type OwnChoice, ownIdentityFile } from "../relay/own-identity.js"
import type { RatingsDigest } from "./ratings-cache.js"

/** An agent as receipts know it; without a `did` when they do not. */
export interface KnownAgent {
  readonly agentId: string
  /** did:key of its newest key. */
  readonly did: string | undefined
}

/** At least so much of an id, `@` included, can stand for all of it. */
const shortIdPattern = /^@[0-9a-f]{6,15}$/

/**
 * The agent whose rating is one's own.
 * @throws {ChatError} USAGE, NOT_FOUND or BAD_IDENTITY
 */
export async function findSelf(
  context: Context,
  choice: OwnChoice,
  digest: RatingsDigest,
): Promise<KnownAgent> {
  const path = ownIdentityFile(context.config, choice)
  const { did } = peekIdentity(path)
  const known = did === undefined ? undefined : new KeyDirectory(digest).agentOf(did)
  if (known !== undefined) return known
  const { inspectIdentity } = await import("../../identity/identity-file.js")
  try {
    const { agent_id, ...own } = inspectIdentity(path)
    return { agentId: agent_id, did: own.did }
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "NOT_FOUND" || isNamed(choice)) throw error
    const { otherDaemonsHint } = await import("../daemon/other-daemons.js")
    const hint = otherDaemonsHint(context, "all")
    throw hint === undefined ? error : new ChatError(error.code, error.message, { cause: error, hint })
  }
}

/**
 * The agent of an id, the beginning of one, or what an agent of our deals or a daemon of ours calls itself. An agent
 * is found by what belongs to its earlier keys, too.
 * @throws {ChatError} NOT_FOUND; AMBIGUOUS_NAME with those who may be meant
 */
export async function findAgent(context: Context, ref: AgentRef, digest: RatingsDigest): Promise<KnownAgent> {
  const directory = new KeyDirectory(digest)
  const ids = persistentIdPattern.test(ref)
    ? [ref]
    : [...(await idsCalled(context, ref.slice(1))), ...directory.idsFrom(ref)]
  const found = new Map(
    ids.map((id) => directory.agentCalled(id)).map((agent) => [agent.agentId, agent] as const),
  )
  const [first] = found.values()
  if (first === undefined) {
    throw new ChatError("NOT_FOUND", `${ref}: no agent of these receipts is called so`, {
      hint: "give its id, or 6 digits of it and more; this shows it: agentchat agents",
    })
  }
  if (found.size === 1) return first
  throw new ChatError("AMBIGUOUS_NAME", `${ref}: several agents are called so`, {
    candidates: [...found.keys()],
  })
}

/** Every key that receipts know. */
class KeyDirectory {
  readonly #ids = new Map<string, string>()
  readonly #newest = new Map<string, string>()
  readonly #dids = new Map<string, string>()

  constructor({ agents, others }: RatingsDigest) {
    for (const { did, agentId } of [...agents, ...others]) {
      this.#ids.set(did, agentId)
      this.#dids.set(agentId, did)
    }
    for (const { did, newest } of others) this.#newest.set(did, newest)
  }

  /** The agent that has or had a key. */
  agentOf(did: string): KnownAgent | undefined {
    const newest = this.#newest.get(did) ?? did
    const agentId = this.#ids.get(newest)
    return agentId === undefined ? undefined : { did: newest, agentId }
  }

  /** The agent that has or had an id. */
  agentCalled(agentId: string): KnownAgent {
    const did = this.#dids.get(agentId)
    return (did === undefined ? undefined : this.agentOf(did)) ?? { did: undefined, agentId }
  }

  /** Ids that begin so, if it is long enough to tell. */
  idsFrom(ref: string): string[] {
    return shortIdPattern.test(ref) ? [...this.#dids.keys()].filter((id) => id.startsWith(ref)) : []
  }
}

/** Which daemons of this directory, and which agents of their deals, call themselves so. */
async function idsCalled({ config, clock }: Context, called: string): Promise<Set<string>> {
  const { listDaemons } = await import("../../daemon/process/control.js")
  const { readDealLog } = await import("../../daemon/deals/proposals-file.js")
  const { agentIdOfDid } = await import("../../proposals/statement.js")
  const ids = new Set<string>()
  const root = rootPaths(config.home)
  for (const daemon of listDaemons(root, clock.now())) {
    const paths = root.instance(daemon.name as InstanceName)
    const { did, name } = peekIdentity(paths.identity)
    if (did !== undefined && (daemon.name === called || name === called)) ids.add(agentIdOfDid(did))
    for (const { names } of readDealLog(paths.proposals)) {
      for (const [id, itsName] of names) if (itsName === called) ids.add(id)
    }
  }
  return ids
}

/** Only to look it up among verified ones: the full check would cost more than the answer. */
export function peekIdentity(path: string): PeekedIdentity {
  try {
    const { did, name, rotations } = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>
    return {
      did: typeof did === "string" ? did : undefined,
      name: typeof name === "string" ? name : undefined,
      isRotated: Array.isArray(rotations) && rotations.length > 0,
    }
  } catch {
    return { did: undefined, name: undefined, isRotated: false }
  }
}

interface PeekedIdentity {
  readonly did: string | undefined
  readonly name: string | undefined
  readonly isRotated: boolean
}
