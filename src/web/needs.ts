/** Finds what waits for a person. Pure: the same state and time always give the same list. */

import { omitUndefined } from "../base/plain.js"
import type { ClaimEntry } from "../protocol/claims.js"
import { claimedPaths, overlap } from "../protocol/claims.js"
import { humanRole } from "../protocol/questions.js"
import type { AgentRow, DealRow, GuardRow, MeRow, MessageRow, Need, TaskRow } from "./shapes.js"

/** Most entries of the list; the rest waits until these are done. */
const maxNeeds = 200
/** Messages in a mailbox from which it is filling up. */
const fullMailbox = 200
/** Claims that are compared with each other. */
const comparedClaims = 200

/** The state that the list is made from. */
export interface NeedSources {
  readonly me: MeRow
  readonly agents: Iterable<AgentRow>
  readonly tasks: readonly TaskRow[]
  readonly deals: Iterable<DealRow>
  readonly guards: readonly GuardRow[]
  /** Since when each guard has stopped its scope. */
  readonly stoppedTs: ReadonlyMap<string, number>
  readonly claims: readonly ClaimEntry[]
  /** Messages to the person that it has not answered. */
  readonly asked: Iterable<MessageRow>
  readonly now: number
}

/** Returns what waits for the person, oldest first. */
export function needsOf(sources: NeedSources): Need[] {
  const needs = [
    ...tasksOf(sources),
    ...dealsOf(sources),
    ...askedOf(sources),
    ...agentsOf(sources),
    ...stopsOf(sources),
    ...conflictsOf(sources),
  ]
  return needs.sort((a, b) => a.sinceTs - b.sinceTs || (a.id < b.id ? -1 : 1)).slice(0, maxNeeds)
}

function* agentsOf({ agents, me }: NeedSources): Generator<Need> {
  for (const agent of agents) {
    const { id, name, state, activity, sinceTs = 0 } = agent
    if (id === me.id) continue
    const facts = { name }
    if (state === "waiting") {
      const text = activity === undefined ? {} : { text: activity }
      yield { id: `waiting ${id}`, kind: "waiting", sinceTs, facts, agent: id, ...text }
    }
    const { unread = 0, oldestTs = 0, wakeLostTs } = agent
    if (unread >= fullMailbox) {
      const count = { ...facts, count: unread }
      yield { id: `mailbox ${id}`, kind: "mailbox", sinceTs: oldestTs, facts: count, agent: id }
    }
    if (wakeLostTs !== undefined && state !== "offline")
      yield { id: `wake ${id}`, kind: "wake", sinceTs: wakeLostTs, facts, agent: id }
  }
}

function* tasksOf({ tasks, me }: NeedSources): Generator<Need> {
  for (const entry of tasks) {
    const { task, role, from, name, content, ts, worker } = entry
    if (role.toLowerCase() !== humanRole || (worker !== undefined && worker !== me.id)) continue
    const end = omitUndefined({ expiresTs: entry.expires_ts, fallback: entry.default })
    const about = { text: content, agent: from, task, ...end }
    yield { id: `task ${task}`, kind: "task", sinceTs: ts, facts: { name }, ...about }
  }
}

function* dealsOf({ deals, me }: NeedSources): Generator<Need> {
  for (const deal of deals) {
    const { id, task, lastTs, statements } = deal
    const last = statements.at(-1)
    if (last === undefined) continue
    const more = { facts: { name: last.name, id }, sinceTs: lastTs, deal: id, agent: last.from }
    if (deal.state === "pending" && deal.actions.includes("ACCEPT"))
      yield { id: `deal ${id}`, kind: "proposal", text: task, ...more }
    if (isToSettle(deal, me)) yield { id: `deal ${id}`, kind: "dispute", text: last.text, ...more }
  }
}

/** Reports whether the person has to say something about a dispute: as the other party, or as an operator. */
function isToSettle({ state, statements, parties }: DealRow, me: MeRow): boolean {
  const disputes = statements.filter(({ type }) => type === "DISPUTE")
  if (state !== "disputed" || disputes.length > 1) return false
  const isParty = parties.some(({ id }) => id === me.id)
  return isParty ? disputes[0]?.from !== me.id : me.isOperator
}

function* askedOf({ asked, me }: NeedSources): Generator<Need> {
  for (const { id, conversation, from, name, text, ts } of asked) {
    if (from === me.id) continue
    const place = { conversation, message: id, agent: from }
    const kind = conversation.startsWith("@") ? "direct" : "asked"
    yield { id: `asked ${id}`, kind, sinceTs: ts, facts: { name, place: conversation }, text, ...place }
  }
}

function* stopsOf({ guards, stoppedTs, me, now }: NeedSources): Generator<Need> {
  if (!me.isOperator) return
  for (const { layer, scope, tripped, used, limit } of guards) {
    if (!tripped) continue
    const sinceTs = stoppedTs.get(`${layer} ${scope}`) ?? now
    yield {
      id: `guard ${layer} ${scope}`,
      kind: "guard",
      sinceTs,
      facts: { layer, scope, used, limit },
      scope,
    }
  }
}

/** Claims of different agents that mean the same file: their relays did not see each other. */
function* conflictsOf({ claims, now }: NeedSources): Generator<Need> {
  const open = claims.filter(({ expires_ts: expires }) => expires > now).slice(0, comparedClaims)
  for (const [index, one] of open.entries()) {
    for (const other of open.slice(index + 1)) {
      if (one.repo !== other.repo || one.owner === other.owner) continue
      const path = claimedPaths(one).find((each) => claimedPaths(other).some((path) => overlap(each, path)))
      if (path === undefined) continue
      const facts = { name: one.name, other: other.name, repo: one.repo, path }
      const sinceTs = Math.max(one.ts, other.ts)
      yield { id: `claims ${one.repo} ${path} ${one.owner} ${other.owner}`, kind: "claims", sinceTs, facts }
    }
  }
}
