/** Who is meant, found without a relay. */
import { readFileSync } from "node:fs"
import { rootPaths } from "../daemon/instance-paths.js"
import { ChatError } from "../protocol/errors.js"
import { type AgentId, type AgentRef, type InstanceName, persistentIdPattern } from "../protocol/names.js"
import type { Config } from "./config.js"
import type { Context } from "./context.js"
import { type OwnChoice, ownIdentityFile } from "./own-identity.js"

/** An agent as receipts know it; without a `did` when they do not. */
export interface KnownAgent {
  readonly agentId: string
  readonly did: string | undefined
}

/** At least so much of an id, `@` included, can stand for all of it. */
const shortIdPattern = /^@[0-9a-f]{6,15}$/

/**
 * The agent whose rating is one's own.
 * @param agentIdOf - the agent id of a key that receipts know
 * @throws {ChatError} USAGE, NOT_FOUND or BAD_IDENTITY
 */
export async function findSelf(
  config: Config,
  choice: OwnChoice,
  agentIdOf: (did: string) => string | undefined,
): Promise<KnownAgent> {
  const path = ownIdentityFile(config, choice)
  const did = didIn(path)
  const agentId = did === undefined ? undefined : agentIdOf(did)
  if (agentId !== undefined) return { agentId, did }
  const { inspectIdentity } = await import("../identity/identity-file.js")
  const { agent_id, ...own } = inspectIdentity(path)
  return { agentId: agent_id, did: own.did }
}

/**
 * The agent of an id, the beginning of one, or what an agent of our deals calls itself.
 * @param agents - agent ids by did:key
 * @throws {ChatError} NOT_FOUND; AMBIGUOUS_NAME with those who may be meant
 */
export async function findAgent(
  context: Context,
  ref: AgentRef,
  agents: Iterable<readonly [did: string, agentId: string]>,
): Promise<KnownAgent> {
  const isMeant = await matcherOf(context, ref)
  const found = Array.from(agents).filter(([, agentId]) => isMeant(agentId))
  const [first] = found
  if (found.length > 1) {
    throw new ChatError("AMBIGUOUS_NAME", `${ref}: several agents are called so`, {
      candidates: found.map(([, agentId]) => agentId),
    })
  }
  if (first !== undefined) return { did: first[0], agentId: first[1] }
  if (persistentIdPattern.test(ref)) return { did: undefined, agentId: ref }
  throw new ChatError("NOT_FOUND", `${ref}: no agent of these receipts is called so`, {
    hint: "give its id; this shows it: agentchat agents",
  })
}

async function matcherOf(context: Context, ref: AgentRef): Promise<(agentId: string) => boolean> {
  if (persistentIdPattern.test(ref)) return (agentId) => agentId === ref
  const named = await idsCalled(context, ref.slice(1))
  const isShortId = shortIdPattern.test(ref)
  return (agentId) => named.has(agentId as AgentId) || (isShortId && agentId.startsWith(ref))
}

/** Who called itself so in the deals of this directory's daemons. */
async function idsCalled({ config, clock }: Context, name: string): Promise<Set<AgentId>> {
  const { listDaemons } = await import("../daemon/daemon-control.js")
  const { readDealLog } = await import("../daemon/deal-log.js")
  const ids = new Set<AgentId>()
  const root = rootPaths(config.home)
  for (const daemon of listDaemons(root, clock.now())) {
    for (const { names } of readDealLog(root.instance(daemon.name as InstanceName).proposals)) {
      for (const [id, called] of names) if (called === name) ids.add(id)
    }
  }
  return ids
}

/** Only to look it up among verified ones: the full check would cost more than the answer. */
function didIn(path: string): string | undefined {
  try {
    const { did } = JSON.parse(readFileSync(path, "utf8")) as { did?: unknown }
    return typeof did === "string" ? did : undefined
  } catch {
    return undefined
  }
}
