import { resolve } from "node:path"
import { rootPaths } from "../../daemon/files/paths.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentRef, InstanceName } from "../../protocol/names.js"
import { defineCommand, flag, flagOr, optional, type Parse, repeated, value } from "../command.js"
import type { Context } from "../context.js"
import { agentRef, instanceName, someText, wholeNumber } from "../input/values.js"
import { shownPath } from "../output/shown-path.js"
import type { RatedDeals } from "../ratings/rated-deals.js"
import type { RefusedLines } from "../ratings/rating-facts.js"
import { findAgent, findSelf, peekIdentity } from "../ratings/ratings-agent.js"
import { type RatingsDigest, type RatingsFiles, readFreshDigest } from "../ratings/ratings-cache.js"
import * as view from "../ratings/ratings-view.js"
import { identityFiles, isNamed } from "../relay/own-identity.js"

const defaultLeaders = 10
const mostLeaders = 100_000

const agentRefs: Parse<readonly AgentRef[]> = (text, label) =>
  text.split(",").map((part) => agentRef(part, label))

export const ratings = defineCommand({
  args: {
    agent: optional(
      "whose rating: an id or 6 and more digits of it, or a name of your deals; your own",
      agentRef,
    ),
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
    keys: repeated("FILE", "heed the rotations and revocations in FILE; see identity --export", someText),
    identity: value("FILE", "yours is the identity in FILE", someText, "file"),
    name: value("NAME", "yours is the identity of the daemon NAME", instanceName, "daemon"),
  },
  takesUrl: false,
  examples: [
    "agentchat ratings",
    "agentchat ratings @361d642d60ecf1bb --explain",
    "agentchat ratings --leaderboard 20 --trusting @361d642d60ecf1bb",
    "agentchat ratings --export > ratings.json",
    "agentchat ratings @361d642d60ecf1bb --keys bob.public.json",
  ],
  notes: [
    "Computed from ./.agentchat/receipts.jsonl and nothing else; ratings.json beside it is a cache. A receipt that",
    "does not verify does not count. A rating follows its agent to a new key, where the rotation is known: from the",
    "receipts, --keys, or the identities of this directory. Sock puppets can raise each other's plain rating; --trusting is what it is",
    "worth to somebody who trusts a few: a gain counts as far as trust reaches the counterparty over deals.",
  ],
  async run(context, { args: { agent }, options }) {
    const choice: Choice = { ...options, agent, view: chooseView(options, agent) }
    const rated = await rate(context, choice)
    const named = await findNamed(context, choice, rated)
    const agents = viewedBy(named, rated)
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
  readonly keys: readonly string[] | undefined
  readonly identity: string | undefined
  readonly name: InstanceName | undefined
}

interface Choice extends Flags {
  readonly agent: AgentRef | undefined
  readonly view: View
}

/** What there is to look at; `deals` only where the digest does not tell enough. */
interface Rated {
  readonly digest: RatingsDigest
  readonly deals?: RatedDeals
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
  const { config } = context
  const root = rootPaths(config.home)
  const { ratings: path, receipts } = root
  const files: RatingsFiles = { ratings: path, receipts, identities: identityFiles(root) }
  const identity = choice.identity === undefined ? undefined : resolve(context.system.cwd, choice.identity)
  const needsDeals =
    choice.explain ||
    choice.recalculate ||
    choice.trusting !== undefined ||
    choice.receipts !== undefined ||
    choice.keys !== undefined ||
    (identity !== undefined && !files.identities.includes(identity) && peekIdentity(identity).isRotated)
  const digest = needsDeals ? undefined : readFreshDigest(files)
  const rated = digest === undefined ? await rateAnew(context, choice, files, identity) : { digest }
  if (choice.receipts === undefined) {
    tellRefused(context, shownPath(config, files.receipts), rated.digest.refused)
  }
  tellKeys(context, rated.digest)
  return rated
}

async function rateAnew(
  context: Context,
  choice: Choice,
  files: RatingsFiles,
  identity: string | undefined,
): Promise<Required<Rated>> {
  const { io, system } = context
  const { addIdentityKeys, addKeysFile, KeyRing } = await import("../receipts/key-statements.js")
  const { rateFiles, refreshRatings } = await import("../ratings/ratings-refresh.js")
  const own = new KeyRing()
  for (const path of files.identities) {
    try {
      addIdentityKeys(own, path)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      io.talk(`${error.message}; rotations told there are not heeded`)
    }
  }
  const given = new KeyRing()
  for (const path of choice.keys ?? []) addKeysFile(given, resolve(system.cwd, path))
  if (identity !== undefined && !files.identities.includes(identity)) addIdentityKeys(given, identity)
  const deals =
    choice.receipts === undefined
      ? refreshRatings(files, {
          own,
          given,
          anew: choice.recalculate,
          onProblem: tellUnwritten(context, files),
        })
      : rateFiles(
          choice.receipts.map((path) => resolve(system.cwd, path)),
          [own, given],
          (path, refused) => tellRefused(context, path, refused),
        )
  return { digest: deals.digest, deals }
}

function tellUnwritten({ io, config }: Context, { ratings: path }: RatingsFiles): (error: unknown) => void {
  return (error) => {
    const { code, message } = error as NodeJS.ErrnoException
    io.talk(`${shownPath(config, path)}: cannot be written (${code ?? message}); nothing else is wrong`)
  }
}

function tellKeys({ io }: Context, { contradicted: { count, first }, belated }: RatingsDigest): void {
  if (belated > 0) io.talk(`not counted, as a key signed after its end: ${belated} of the receipts`)
  if (count === 0) return
  const more = count > first.length ? ` and ${count - first.length} more` : ""
  io.talk(`${first.join(", ")}${more}: rotated to several keys; none of these is followed`)
}

function tellRefused({ io }: Context, path: string, { count, first, hasTail }: RefusedLines): void {
  if (hasTail) io.talk(`${path}: its last line is not whole and does not count yet`)
  if (count === 0) return
  const more = count > first.length ? ` and ${count - first.length} more` : ""
  const lines = `line${count === 1 ? "" : "s"} ${first.join(", ")}${more}`
  io.talk(`${path}: ${lines} prove nothing and do not count; see: agentchat receipts verify ${path}`)
}

/** did:key of those who are trusted. */
async function findNamed(context: Context, { trusting }: Choice, { digest }: Rated) {
  if (trusting === undefined) return undefined
  const found = await Promise.all(trusting.map((ref) => findAgent(context, ref, digest)))
  return found.map(({ did, agentId }) => {
    if (did !== undefined) return did
    throw new ChatError("NOT_FOUND", `--trusting: ${agentId} is in none of these receipts`)
  })
}

function viewedBy(
  named: readonly string[] | undefined,
  { digest, deals }: Rated,
): readonly view.ViewedAgent[] {
  return named === undefined || deals === undefined ? digest.agents : deals.trustedAgents(named)
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

async function showOne(context: Context, choice: Choice, rated: Viewed): Promise<void> {
  const { io, config } = context
  const { digest, deals, agents, named } = rated
  const isOwn = choice.agent === undefined
  const wanted = await (choice.agent === undefined
    ? findSelf(context, choice, digest)
    : findAgent(context, choice.agent, digest))
  const agent = agents.find(({ did }) => did === wanted.did) ?? view.unrated(wanted.agentId, wanted.did)
  const document = { ok: true, ...view.ratingDocument(agent) }
  const explanations = choice.explain ? deals?.explain(wanted.did, named) : undefined
  const idOf = (did: string) => deals?.idOf(did) ?? ""
  if (config.json) {
    const more = explanations === undefined ? {} : { deals: view.explanationDocuments(explanations, idOf) }
    io.json({ ...document, ...more })
    return
  }
  for (const line of view.formatRating(agent, isOwn)) io.out(line)
  if (explanations === undefined) return
  io.out("")
  for (const line of view.formatExplanations(explanations, idOf, io.columns)) io.out(line)
}
