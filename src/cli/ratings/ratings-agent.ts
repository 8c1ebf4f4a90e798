/** Finds the agent that a command names, without asking a relay. */
import { realpathSync } from "node:fs"
import { readIfExists } from "../../base/files.js"
import { openHome } from "../../daemon/files/home.js"
import { identityFileOf } from "../../daemon/status.js"
import { ChatError } from "../../protocol/errors.js"
import { type AgentRef, type InstanceName, persistentIdPattern } from "../../protocol/names.js"
import type { Context } from "../context.js"
import { type OwnChoice, ownIdentityFile } from "../relay/own-identity.js"
import type { RatingsDigest } from "./ratings-cache.js"

/** An agent named on the command line. */
export interface KnownAgent {
  readonly agentId: string
  /** did:key of its current key; undefined if no receipt has it. */
  readonly did: string | undefined
}

const shortIdPattern = /^@[0-9a-f]{6,15}$/

/**
 * Finds the agent of the user's own identity.
 * @throws {ChatError} USAGE, NOT_FOUND or BAD_IDENTITY
 */
export async function findSelf(
  context: Context,
  choice: OwnChoice,
  digest: RatingsDigest,
): Promise<KnownAgent> {
  const path = ownIdentityFile(context, choice)
  const { did } = peekIdentity(path)
  const known = did === undefined ? undefined : new KeyDirectory(digest).agentOf(did)
  if (known !== undefined) return known
  const { inspectIdentity } = await import("../../identity/identity-file.js")
  const { agent_id, ...own } = inspectIdentity(path)
  return { agentId: agent_id, did: own.did }
}

/**
 * Finds an agent by id, abbreviated id, or the name it has in a deal or as a daemon of this directory. The ids of its
 * earlier keys work too.
 * @throws {ChatError} NOT_FOUND; AMBIGUOUS_NAME with the candidates
 */
export async function findAgent(context: Context, ref: AgentRef, digest: RatingsDigest): Promise<KnownAgent> {
  const directory = new KeyDirectory(digest)
  const id = ref.toLowerCase()
  const ids = persistentIdPattern.test(id)
    ? [id]
    : [...(await idsNamed(context, ref.slice(1))), ...directory.idsStartingWith(ref)]
  const found = new Map(
    ids.map((id) => directory.agentWithId(id)).map((agent) => [agent.agentId, agent] as const),
  )
  const [first] = found.values()
  if (first === undefined) {
    throw new ChatError("NOT_FOUND", `${ref}: no agent in these receipts has this name or id`, {
      hint: "use its id or the first 6 or more digits of it; see: agentchat agents",
    })
  }
  if (found.size === 1) return first
  throw new ChatError("AMBIGUOUS_NAME", `${ref}: several agents have this name`, {
    candidates: [...found.keys()],
  })
}

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

  /** Returns the agent that has or had a key. */
  agentOf(did: string): KnownAgent | undefined {
    const newest = this.#newest.get(did) ?? did
    const agentId = this.#ids.get(newest)
    return agentId === undefined ? undefined : { did: newest, agentId }
  }

  /** Returns the agent that has or had an id. */
  agentWithId(agentId: string): KnownAgent {
    const did = this.#dids.get(agentId)
    return (did === undefined ? undefined : this.agentOf(did)) ?? { did: undefined, agentId }
  }

  /** Returns the ids that start with an abbreviated id; none if it is too short. */
  idsStartingWith(ref: string): string[] {
    const start = ref.toLowerCase()
    return shortIdPattern.test(start) ? [...this.#dids.keys()].filter((id) => id.startsWith(start)) : []
  }
}

/** Returns the ids of daemons of this directory, and of agents in their deals, that have a name. */
async function idsNamed({ config, clock }: Context, wanted: string): Promise<Set<string>> {
  const { listDaemons } = await import("../../daemon/process/control.js")
  const { readDealLog } = await import("../../daemon/deals/proposals-file.js")
  const { agentIdOfDid } = await import("../../proposals/statement.js")
  const ids = new Set<string>()
  const root = openHome(config.home, config.uid)
  for (const daemon of listDaemons(root, clock.now())) {
    const paths = root.instance(daemon.name as InstanceName)
    const { did, name } = peekIdentity(identityFileOf(paths))
    if (did !== undefined && (daemon.name === wanted || name === wanted)) ids.add(agentIdOfDid(did))
    for (const { names } of readDealLog(paths.proposals)) {
      for (const [id, known] of names) if (known === wanted) ids.add(id)
    }
  }
  return ids
}

/** Reads an identity file without verifying it. The result is only used to look up verified data. */
export function peekIdentity(path: string): PeekedIdentity {
  try {
    const { did, name, rotations } = JSON.parse(readIfExists(realpathSync(path)) ?? "") as Record<
      string,
      unknown
    >
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
