import { resolve } from "node:path"
import { rootPaths } from "../../daemon/instance-paths.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentRef, InstanceName } from "../../protocol/names.js"
import { defineCommand, flag, flagOr, optional, type Parse, repeated, value } from "../command.js"
import type { Context } from "../context.js"
import { isNamed } from "../own-identity.js"
import { type RatingFacts, type RatingsDigest, type RefusedLines, readFreshDigest } from "../ratings-cache.js"
import * as view from "../ratings-view.js"
import { findAgent, findSelf, type KnownAgent } from "../ratings-who.js"
import { shownPath } from "../shown-path.js"
import { agentRef, instanceName, someText, wholeNumber } from "../values.js"

const defaultLeaders = 10
const mostLeaders = 100_000

const agentRefs: Parse<readonly AgentRef[]> = (text, label) =>
  text.split(",").map((part) => agentRef(part, label))

export const ratings = defineCommand({
  args: {
    agent: optional("whose rating: an id or its beginning, or a name of your deals; your own", agentRef),
  },
  options: {
    leaderboard: flagOr("N", "the N highest; 10 unless told", defaultLeaders, wholeNumber(1, mostLeaders)),
    stats: flag("figures over all agents and deals"),
    export: flag("all ratings as one JSON document"),
    explain: flag("which receipts moved the rating, and by how much"),
    trusting: value("@A,@B", "as somebody sees it who trusts these agents and nobody else", agentRefs),
    recalculate: flag("verify and count every receipt anew"),
    receipts: repeated(
      "FILE",
      "rate the receipts in FILE instead of your own; may stand several times",
      someText,
    ),
    identity: value("FILE", "yours is the identity in FILE", someText, "file"),
    name: value("NAME", "yours is the identity of the daemon NAME", instanceName, "daemon"),
  },
  takesUrl: false,
  examples: [
    "agentchat ratings",
    "agentchat ratings @361d642d60ecf1bb --explain",
    "agentchat ratings --leaderboard 20 --trusting @361d642d60ecf1bb",
    "agentchat ratings --export > ratings.json",
  ],
  notes: [
    "Computed from ./.agentchat/receipts.jsonl and nothing else; ratings.json beside it is a cache. A receipt that",
    "does not verify does not count. Sock puppets can raise each other's plain rating; --trusting is what it is",
    "worth to somebody who trusts a few: a gain counts as far as trust reaches the counterparty over deals.",
  ],
  async run(context, { args: { agent }, options }) {
    const choice: Choice = { ...options, agent, view: chooseView(options, agent) }
    const rated = await rate(context, choice)
    const named = await findNamed(context, choice, rated)
    const agents = await viewedBy(named, rated)
    if (choice.view === "one") await showOne(context, choice, { ...rated, agents, named })
    else showAll(context, choice, agents, rated.digest)
    return 0
  },
})

type View = "one" | "leaderboard" | "stats" | "export" | "recalculate"

interface Flags {
  readonly leaderboard: number | undefined
  readonly stats: boolean
  readonly export: boolean
  readonly explain: boolean
  readonly trusting: readonly AgentRef[] | undefined
  readonly recalculate: boolean
  readonly receipts: readonly string[] | undefined
  readonly identity: string | undefined
  readonly name: InstanceName | undefined
}

interface Choice extends Flags {
  readonly agent: AgentRef | undefined
  readonly view: View
}

/** What there is to look at; `facts` only where the digest does not tell enough. */
interface Rated {
  readonly digest: RatingsDigest
  readonly facts?: RatingFacts
}

function chooseView(flags: Flags, agent: AgentRef | undefined): View {
  const chosen = (
    [
      ["leaderboard", flags.leaderboard !== undefined],
      ["stats", flags.stats],
      ["export", flags.export],
    ] as const
  )
    .filter(([, isChosen]) => isChosen)
    .map(([name]) => name)
  const [view, second] = chosen
  if (second !== undefined) throw new ChatError("USAGE", `--${second}: not together with --${String(view)}`)
  const isAboutSelf = flags.explain || isNamed(flags)
  if (view === undefined)
    return flags.recalculate && agent === undefined && !isAboutSelf ? "recalculate" : "one"
  if (agent !== undefined) throw new ChatError("USAGE", `--${view}: is about all agents; leave out ${agent}`)
  if (isAboutSelf) {
    const flagName = flags.explain ? "explain" : flags.name === undefined ? "identity" : "name"
    throw new ChatError("USAGE", `--${flagName}: not together with --${view}, which is about all agents`)
  }
  return view
}

/** The quick way: a question about ratings alone is answered from the cache, and verifies nothing. */
async function rate(context: Context, choice: Choice): Promise<Rated> {
  const { config, system } = context
  if (choice.receipts !== undefined) {
    const { rateFiles } = await import("../ratings-refresh.js")
    const paths = choice.receipts.map((path) => resolve(system.cwd, path))
    return rateFiles(paths, (path, refused) => tellRefused(context, path, refused))
  }
  const files = rootPaths(config.home)
  const needsFacts = choice.explain || choice.trusting !== undefined
  const digest = needsFacts || choice.recalculate ? undefined : readFreshDigest(files.ratings, files.receipts)
  const rated = digest === undefined ? await refresh(context, choice.recalculate) : { digest }
  tellRefused(context, shownPath(config, files.receipts), rated.digest.refused)
  return rated
}

async function refresh({ io, config }: Context, anew: boolean): Promise<Rated> {
  const { refreshRatings } = await import("../ratings-refresh.js")
  const files = rootPaths(config.home)
  return refreshRatings(files, anew, (error) => {
    const { code, message } = error as NodeJS.ErrnoException
    io.talk(
      `${shownPath(config, files.ratings)}: cannot be written (${code ?? message}); nothing else is wrong`,
    )
  })
}

function tellRefused({ io }: Context, path: string, { count, first, hasTail }: RefusedLines): void {
  if (hasTail) io.talk(`${path}: its last line is not whole and does not count yet`)
  if (count === 0) return
  const more = count > first.length ? ` and ${count - first.length} more` : ""
  const lines = `line${count === 1 ? "" : "s"} ${first.join(", ")}${more}`
  io.talk(`${path}: ${lines} prove nothing and do not count; see: agentchat receipts verify ${path}`)
}

/** did:key of those who are trusted. */
async function findNamed(context: Context, { trusting }: Choice, { facts }: Rated) {
  if (trusting === undefined || facts === undefined) return undefined
  const found = await Promise.all(trusting.map((ref) => findAgent(context, ref, facts.agentIds)))
  return found.map(({ did, agentId }) => {
    if (did !== undefined) return did
    throw new ChatError("NOT_FOUND", `--trusting: ${agentId} is in none of these receipts`)
  })
}

async function viewedBy(named: readonly string[] | undefined, { digest, facts }: Rated) {
  if (named === undefined || facts === undefined) return digest.agents
  return (await import("../ratings-insight.js")).trustedAgents(facts, named)
}

function showAll(
  { io, config }: Context,
  { view: chosen, leaderboard = defaultLeaders }: Choice,
  agents: readonly view.ViewedAgent[],
  { deals }: RatingsDigest,
): void {
  const rated = agents.filter(({ transactions }) => transactions > 0)
  if (chosen === "leaderboard") {
    if (config.json) io.json({ ok: true, agents: rated.slice(0, leaderboard).map(view.ratingDocument) })
    else for (const line of view.formatLeaderboard(rated, leaderboard)) io.out(line)
  } else if (chosen === "export") {
    const document = { v: 1, ratings: rated.map(view.ratingDocument) }
    if (config.json) io.json(document)
    else io.out(JSON.stringify(document, undefined, 2))
  } else {
    const statistics = view.statisticsOf(rated, deals)
    if (config.json) io.json({ ok: true, ...statistics })
    else for (const line of view.formatStatistics(statistics)) io.out(line)
  }
}

interface Viewed extends Rated {
  readonly agents: readonly view.ViewedAgent[]
  readonly named: readonly string[] | undefined
}

async function showOne(context: Context, choice: Choice, { agents, facts, named }: Viewed): Promise<void> {
  const { io, config } = context
  const ids = facts?.agentIds ?? new Map(agents.map(({ did, agentId }) => [did, agentId]))
  const wanted: KnownAgent =
    choice.agent === undefined
      ? await findSelf(config, choice, (did) => ids.get(did))
      : await findAgent(context, choice.agent, ids)
  const agent = agents.find(({ did }) => did === wanted.did) ?? view.unrated(wanted.agentId, wanted.did)
  const document = { ok: true, ...view.ratingDocument(agent) }
  if (!choice.explain || facts === undefined) {
    if (config.json) io.json(document)
    else for (const line of view.formatRating(agent, choice.agent === undefined)) io.out(line)
    return
  }
  const { explain } = await import("../ratings-insight.js")
  const { explanationDocuments, formatExplanations } = await import("../ratings-explanation.js")
  const idOf = (did: string) => ids.get(did) ?? ""
  const explanations = explain(facts, wanted.did, named)
  if (config.json) {
    io.json({ ...document, deals: explanationDocuments(explanations, idOf) })
    return
  }
  for (const line of view.formatRating(agent, choice.agent === undefined)) io.out(line)
  io.out("")
  for (const line of formatExplanations(explanations, idOf)) io.out(line)
}
