import { resolve } from "node:path"
import { openHome } from "../../daemon/files/home.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentRef, InstanceName } from "../../protocol/names.js"
import { defineCommand, flag, flagOr, optional, type Parse, repeated, value } from "../command.js"
import { shownPath } from "../config.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import { agentRef, instanceName, someText, wholeNumber } from "../input/values.js"
import { findAgent, findSelf, peekIdentity } from "../ratings/ratings-agent.js"
import {
  type RatingsDigest,
  type RatingsFiles,
  type RefusedLines,
  readFreshDigest,
} from "../ratings/ratings-cache.js"
import type { RatedDeals } from "../ratings/ratings-refresh.js"
import * as view from "../ratings/ratings-view.js"
import { identityFiles, isNamed } from "../relay/own-identity.js"

const defaultLeaders = 10
const maxLeaders = 100_000

const agentRefs: Parse<readonly AgentRef[]> = (text, label) =>
  text.split(",").map((part) => agentRef(part, label))

export const ratings = defineCommand({
  args: {
    agent: optional("@id (6 or more digits) or @name (default: yourself)", agentRef),
  },
  options: {
    leaderboard: flagOr(
      "N",
      `show the N highest ratings (default ${defaultLeaders})`,
      defaultLeaders,
      wholeNumber(1, maxLeaders),
    ),
    stats: flag("show statistics over all agents and deals"),
    export: flag("print all ratings as one JSON document"),
    explain: flag("list the receipts that changed the rating"),
    trusting: value("@A,@B", "weigh gains by these agents' trust in the counterparty", agentRefs),
    recalculate: flag("verify all receipts again and ignore the cache"),
    receipts: repeated("FILE", "use the receipts in FILE, not your own (repeatable)", someText),
    keys: repeated("FILE", "apply the key rotations and revocations in FILE", someText),
    identity: value("FILE", "your identity is in FILE", someText, "file"),
    name: value("NAME", "your identity is that of the daemon NAME", instanceName, "daemon"),
  },
  verbs: {
    leaderboard: "leaderboard",
    stats: "stats",
    export: "export",
    explain: "explain",
    recalculate: "recalculate",
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
    "Ratings are computed from ./.agentchat/receipts.jsonl only; ratings.json is a cache. Receipts that do",
    "not verify do not count. A rating follows a key rotation found in the receipts, in --keys or in an",
    "identity of this directory. Sock puppets can raise each other's rating; --trusting discounts gains",
    "from agents that the named agents do not trust through deals.",
  ],
  async run(context, { args: { agent }, options }) {
    const choice: Choice = { ...options, agent, view: chooseView(options, agent) }
    const rated = await rate(context, choice)
    const named = await findNamed(context, choice, rated)
    const agents = viewedBy(named, rated)
    return choice.view === "one"
      ? showOne(context, choice, { ...rated, agents, named })
      : showAll(context, choice, agents, rated.digest)
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

/** Computed ratings. `deals` is present only if the digest does not suffice. */
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
  if (second !== undefined)
    throw new ChatError("USAGE", `--${String(view)} and --${second} are mutually exclusive`)
  const isAboutSelf = flags.explain || isNamed(flags)
  if (view === undefined)
    return flags.recalculate && agent === undefined && !isAboutSelf ? "recalculate" : "one"
  if (agent !== undefined) throw new ChatError("USAGE", `--${view}: covers all agents; leave out ${agent}`)
  if (isAboutSelf) {
    const flagName = flags.explain ? "explain" : flags.name === undefined ? "identity" : "name"
    throw new ChatError("USAGE", `--${flagName}: not allowed with --${view}, which covers all agents`)
  }
  return view
}

/** Answers from the cache if possible, which verifies nothing. */
async function rate(context: Context, choice: Choice): Promise<Rated> {
  const { config } = context
  const root = openHome(config.home, config.uid)
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
  const rated = digest === undefined ? await computeRatings(context, choice, files, identity) : { digest }
  if (choice.receipts === undefined) {
    reportRefused(context, shownPath(config, files.receipts), rated.digest.refused)
  }
  reportKeys(context, rated.digest)
  return rated
}

async function computeRatings(
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
      io.note(`${error.message}; its rotations are ignored`)
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
          onProblem: reportUnwritten(context, files),
        })
      : await rateFiles(
          choice.receipts.map((path) => resolve(system.cwd, path)),
          [own, given],
          (path, refused) => reportRefused(context, path, refused),
        )
  return { digest: deals.digest, deals }
}

function reportUnwritten({ io, config }: Context, { ratings: path }: RatingsFiles): (error: unknown) => void {
  return (error) => {
    const { code, message, hint } = error as NodeJS.ErrnoException & { readonly hint?: string }
    const why = error instanceof ChatError ? message : `cannot be written (${code ?? message})`
    io.note(`${shownPath(config, path)}: ${why}; the ratings are right`)
    if (hint !== undefined) io.note(`hint: ${hint}`)
  }
}

function reportKeys({ io }: Context, { contradicted: { count, first }, belated }: RatingsDigest): void {
  if (belated > 0)
    io.note(
      `${belated} receipt${belated === 1 ? " does" : "s do"} not count: signed after the key was rotated or revoked`,
    )
  if (count === 0) return
  const more = count > first.length ? ` and ${count - first.length} more` : ""
  io.note(`${first.join(", ")}${more}: rotated to several keys; none of these rotations is followed`)
}

function reportRefused({ io }: Context, path: string, { count, first, hasTail }: RefusedLines): void {
  if (hasTail) io.note(`${path}: the last line is incomplete and does not count yet`)
  if (count === 0) return
  const more = count > first.length ? ` and ${count - first.length} more` : ""
  const lines = `line${count === 1 ? "" : "s"} ${first.join(", ")}${more}`
  io.note(`${path}: ${lines} ${count === 1 ? "is" : "are"} invalid; see: agentchat receipts verify ${path}`)
}

/** Returns the did:keys of the agents of `--trusting`. */
async function findNamed(context: Context, { trusting }: Choice, { digest }: Rated) {
  if (trusting === undefined) return undefined
  const found = await Promise.all(trusting.map((ref) => findAgent(context, ref, digest)))
  return found.map(({ did, agentId }) => {
    if (did !== undefined) return did
    throw new ChatError("NOT_FOUND", `--trusting: no receipt has ${agentId}`)
  })
}

function viewedBy(
  named: readonly string[] | undefined,
  { digest, deals }: Rated,
): readonly view.ViewedAgent[] {
  return named === undefined || deals === undefined ? digest.agents : deals.trustedAgents(named)
}

function showAll(
  context: Context,
  { view: chosen, leaderboard = defaultLeaders }: Choice,
  agents: readonly view.ViewedAgent[],
  { deals }: RatingsDigest,
): number {
  const rated = agents.filter(({ transactions }) => transactions > 0)
  if (chosen === "leaderboard") {
    const first = rated.slice(0, leaderboard).map(view.ratingDocument)
    return reportSuccess(context, { agents: first }, view.formatLeaderboard(rated, leaderboard))
  }
  if (chosen === "export") {
    const document = { v: 1, ratings: rated.map(view.ratingDocument) }
    if (context.config.json) context.io.json(document)
    else context.io.out(JSON.stringify(document, undefined, 2))
    return 0
  }
  const statistics = view.statisticsOf(rated, deals)
  return reportSuccess(context, statistics, view.formatStatistics(statistics))
}

interface Viewed extends Rated {
  readonly agents: readonly view.ViewedAgent[]
  readonly named: readonly string[] | undefined
}

async function showOne(context: Context, choice: Choice, rated: Viewed): Promise<number> {
  const { digest, deals, agents, named } = rated
  const isOwn = choice.agent === undefined
  const wanted = await (choice.agent === undefined
    ? findSelf(context, choice, digest)
    : findAgent(context, choice.agent, digest))
  const agent = agents.find(({ did }) => did === wanted.did) ?? view.unrated(wanted.agentId, wanted.did)
  const document = view.ratingDocument(agent)
  const lines = view.formatRating(agent, isOwn)
  const explanations = choice.explain ? deals?.explain(wanted.did, named) : undefined
  if (explanations === undefined) return reportSuccess(context, document, lines)
  const idOf = (did: string) => deals?.idOf(did) ?? ""
  return reportSuccess(context, { ...document, deals: view.explanationDocuments(explanations, idOf) }, [
    ...lines,
    "",
    ...view.formatExplanations(explanations, idOf, context.io.columns),
  ])
}
