import { describe, expect, it } from "vitest"
import { readDealLog } from "../../../src/daemon/deals/proposals-file.js"
import { agentIdOf } from "../../../src/identity/keys.js"
import type { Deal } from "../../../src/proposals/deal.js"
import { advanceDeal, openDeal } from "../../../src/proposals/deal.js"
import { statementMessageId } from "../../../src/proposals/statement.js"
import type { ProposalEntry } from "../../../src/protocol/server-messages.js"
import type { Statement } from "../../../src/protocol/statements.js"
import { until } from "../../kit/condition.js"
import { DaemonHarness } from "../../kit/daemon-harness.js"
import { alice, aliceDid, answer, aud, carol, carolDid, propose } from "../../kit/deals.js"
import { FakeRelay, type FakeSession } from "../../kit/fake-relay.js"
import { newIdentity } from "../../kit/identity.js"

/** A statement as a relay sends it. */
function passOn(statement: Statement, changes: object = {}): object {
  return { ...statement, msg_id: statementMessageId(statement), name: "alice", state: "pending", ...changes }
}

/** Starts Bob's daemon with a fake relay that lists these chains. */
async function arrange(chains: () => readonly (readonly Statement[])[] = () => []) {
  const daemon = new DaemonHarness()
  const relay = await FakeRelay.start({
    serverId: aud,
    answers: {
      LIST_PROPOSALS: ({ id, proposal }) => {
        const entries = chains().map(
          (statements): ProposalEntry => ({
            id: statements[0]?.id ?? "",
            state: "pending",
            statements,
            names: {},
          }),
        )
        const list = entries.filter((entry) => proposal === undefined || entry.id === proposal)
        return { type: "PROPOSALS", re: id, list }
      },
    },
  })
  await daemon.start(relay)
  await until("online", () => daemon.status.connected)
  return { daemon, relay, session: await relay.session() }
}

const to = (daemon: DaemonHarness) => daemon.identity.did
const received = (session: FakeSession) =>
  session.frames.flatMap((frame) => (frame.type === "RECEIVED" ? (frame.ids ?? []) : []))
const notices = (daemon: DaemonHarness) => daemon.inbox.filter(({ type }) => type === "NOTICE")
const dealIn = (daemon: DaemonHarness): Deal | undefined => readDealLog(daemon.paths.proposals)[0]?.deal

/** Sends a message from the relay, and waits until the daemon has confirmed it. */
async function pass(session: FakeSession, message: object): Promise<void> {
  const { msg_id } = message as { msg_id: string }
  const before = received(session).filter((id) => id === msg_id).length
  session.send(message)
  await until("it is confirmed", () => received(session).filter((id) => id === msg_id).length > before)
}

const rosterOf = ({ agentId, did }: { agentId: string; did: string }, re: string | undefined) => ({
  type: "AGENTS",
  re,
  list: [],
  roster: [{ id: agentId, name: "bob", status: "idle", did }],
})

const swapped = "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw"

describe("a daemon whose relay lies about deals", { timeout: 60_000 }, () => {
  it.each<[string, (proposal: Statement<"PROPOSAL">, me: string) => Statement, RegExp]>([
    ["a changed task", (proposal) => ({ ...proposal, task: "pay me" }), /sig|signature/],
    [
      "another key for the author",
      (proposal) => ({ ...proposal, from: swapped }),
      /does not match|must be signed by/,
    ],
    [
      "a proposal made for another relay",
      (_, me) => propose({ to: me, aud: "relay-2" }),
      /must be this server/,
    ],
    ["a proposal between two other agents", () => propose({ to: carolDid }), /not a party/],
    ["a proposal that was over long ago", (_, me) => propose({ to: me, ts: 1_000 }), /over long ago/],
  ])("refuses %s and writes one NOTICE", async (_name, lie, reason) => {
    const { daemon, session } = await arrange()
    const lied = lie(propose({ to: to(daemon) }), to(daemon))
    for (let i = 0; i < 2; i++) await pass(session, passOn(lied))
    expect(notices(daemon)).toMatchObject([{ message: expect.stringMatching(reason) }])
    expect(dealIn(daemon)).toBeUndefined()
    expect(daemon.inbox.some(({ type }) => type === "PROPOSAL")).toBe(false)
    expect(daemon.log).toContain("statement refused")
  })

  it.each<[string, (deal: Deal, me: DaemonHarness) => Statement]>([
    ["an answer of an agent that is not a party", (deal) => answer(deal, "COMPLETE", carol)],
    ["an acceptance by the proposer", (deal) => answer(deal, "ACCEPT", alice)],
    ["a completion before the acceptance", (deal) => answer(deal, "COMPLETE", alice)],
    [
      "an answer to another statement",
      (deal, me) => answer(deal, "ACCEPT", me.identity.keyPair, { prev: "A".repeat(43) }),
    ],
    [
      "an answer made for another relay",
      (deal, me) => answer(deal, "ACCEPT", me.identity.keyPair, { aud: "relay-2" }),
    ],
    [
      "an answer to an unknown proposal",
      (deal) =>
        answer({ ...deal, chain: [propose({ id: "prop_0002", to: deal.chain[0].to })] }, "COMPLETE", alice),
    ],
  ])("refuses %s and leaves the deal as it was", async (_name, lie) => {
    const { daemon, session } = await arrange()
    const proposal = propose({ to: to(daemon) })
    await pass(session, passOn(proposal))
    const lied = lie(openDeal(proposal), daemon)
    await pass(session, passOn(lied))
    await pass(session, passOn(lied))
    expect(notices(daemon)).toHaveLength(1)
    expect(dealIn(daemon)).toMatchObject({ state: "pending", chain: [{ id: proposal.id }] })
    expect(daemon.receipts).toEqual([])
  })

  it("records a replayed deal once, also after a restart", async () => {
    const { daemon, relay, session } = await arrange()
    let deal = openDeal(propose({ to: to(daemon) }))
    deal = advanceDeal(deal, answer(deal, "ACCEPT", daemon.identity.keyPair))
    deal = advanceDeal(deal, answer(deal, "COMPLETE", alice))
    const replay = async (to: FakeSession) => {
      for (const statement of deal.chain) await pass(to, passOn(statement))
    }
    await replay(session)
    await replay(session)
    for (const index of [1, 2]) {
      await daemon.start(relay)
      await until("online", () => daemon.status.connected)
      await replay(await relay.session(index))
      daemon.sweep()
    }
    const steps = daemon.inbox.map(({ type }) => type).filter((type) => type !== "NOTICE")
    expect(steps).toEqual(["PROPOSAL", "ACCEPT", "COMPLETE"])
    expect(notices(daemon)).toEqual([])
    expect(daemon.receipts).toHaveLength(1)
    expect(dealIn(daemon)?.chain).toHaveLength(3)
  })

  it("fetches the whole deal when the relay withheld a statement", async () => {
    let chain: readonly Statement[] = []
    const { daemon, session } = await arrange(() => [chain])
    const proposal = propose({ to: to(daemon) })
    let deal = openDeal(proposal)
    await pass(session, passOn(proposal))
    deal = advanceDeal(deal, answer(deal, "ACCEPT", daemon.identity.keyPair))
    deal = advanceDeal(deal, answer(deal, "COMPLETE", alice))
    chain = deal.chain
    const last = deal.chain.at(-1) ?? proposal
    await pass(session, passOn(last))
    expect(daemon.inbox.map(({ type, state }) => `${String(type)} ${String(state)}`)).toEqual([
      "PROPOSAL pending",
      "ACCEPT accepted",
      "COMPLETE completed",
    ])
    expect(notices(daemon)).toEqual([])
  })

  it("accepts the valid statements before a forged one", async () => {
    let chain: readonly Statement[] = []
    const { daemon, relay } = await arrange(() => [chain])
    const proposal = propose({ to: to(daemon) })
    const deal = openDeal(proposal)
    const accept = answer(deal, "ACCEPT", daemon.identity.keyPair)
    chain = [proposal, { ...accept, payment_code: "mine" } as Statement]
    await daemon.start(relay)
    await daemon.lines("NOTICE")
    await daemon.lines("PROPOSAL")
    expect(dealIn(daemon)?.state).toBe("pending")
    await daemon.start(relay)
    await (await relay.session(2)).received("LIST_PROPOSALS")
    await until("online", () => daemon.status.connected)
    expect(notices(daemon)).toHaveLength(1)
  })

  it("signs nothing when the relay names a key that is not the agent's", async () => {
    const mallory = newIdentity()
    const victim = newIdentity()
    const daemon = new DaemonHarness()
    const relay = await FakeRelay.start({
      serverId: aud,
      answers: {
        LIST_AGENTS: ({ id, agent }) => ({
          type: "AGENTS",
          re: id,
          list: [],
          roster: [
            agent === "@carol"
              ? { id: victim.agentId, name: "carol", status: "idle", did: mallory.did }
              : { id: mallory.agentId, name: "carol", status: "idle", did: mallory.did },
          ],
        }),
      },
    })
    await daemon.start(relay)
    for (const target of ["@carol", victim.agentId]) {
      daemon.write({ type: "PROPOSAL", to: target, task: "x", id: target.slice(1) })
      await until("the refusal", () =>
        daemon.inbox.some(({ id, code }) => id === target.slice(1) && code === "VERIFICATION_FAILED"),
      )
    }
    const session = await relay.session()
    expect(session.frames.some(({ type }) => type === "PROPOSAL")).toBe(false)
    expect(aliceDid).not.toBe(mallory.did)
  })

  it("rejects a line that the relay answers with a changed statement", async () => {
    const bob = newIdentity()
    const daemon = new DaemonHarness()
    const relay = await FakeRelay.start({
      serverId: aud,
      answers: {
        LIST_AGENTS: ({ id }) => ({
          type: "AGENTS",
          re: id,
          list: [],
          roster: [{ id: bob.agentId, name: "bob", status: "idle", did: bob.did }],
        }),
        PROPOSAL: (frame) => passOn({ ...frame, task: "all my money" } as Statement, { re: frame.id }),
      },
    })
    await daemon.start(relay)
    daemon.write({ type: "PROPOSAL", to: "@bob", task: "x", id: "p" })
    expect(await daemon.lines("REJECTED")).toMatchObject([{ id: "p", code: "VERIFICATION_FAILED" }])
    expect(daemon.acks).toEqual([])
    expect(dealIn(daemon)).toBeUndefined()
  })

  it("rejects a line that the relay answers without a statement", async () => {
    const bob = newIdentity()
    const daemon = new DaemonHarness()
    const relay = await FakeRelay.start({
      serverId: aud,
      answers: {
        LIST_AGENTS: ({ id }) => rosterOf(bob, id),
        PROPOSAL: ({ id }) => ({ type: "PONG", re: id, ts: 1 }),
      },
    })
    await daemon.start(relay)
    daemon.write({ type: "PROPOSAL", to: "@bob", task: "x", id: "p" })
    expect(await daemon.lines("REJECTED")).toMatchObject([{ id: "p", code: "VERIFICATION_FAILED" }])
    expect(daemon.acks).toEqual([])
  })

  it("rejects a line that the relay answers with a statement of the other party under the same id", async () => {
    const { publicKey } = alice
    const daemon = new DaemonHarness()
    const relay = await FakeRelay.start({
      serverId: aud,
      answers: {
        LIST_AGENTS: ({ id }) => rosterOf({ agentId: agentIdOf(publicKey), did: aliceDid }, id),
        PROPOSAL: ({ id }) => passOn(propose({ id, to: daemon.identity.did }), { re: id }),
      },
    })
    await daemon.start(relay)
    daemon.write({ type: "PROPOSAL", to: "@bob", task: "x", id: "p" })
    expect(await daemon.lines("REJECTED")).toMatchObject([{ id: "p", code: "VERIFICATION_FAILED" }])
    expect(daemon.acks).toEqual([])
  })

  it("rejects a line that the relay answers with the statement of another line", async () => {
    const bob = newIdentity()
    const daemon = new DaemonHarness()
    const sent: Statement[] = []
    const relay = await FakeRelay.start({
      serverId: aud,
      answers: {
        LIST_AGENTS: ({ id }) => rosterOf(bob, id),
        PROPOSAL: (frame) => {
          const statement = frame as Statement
          sent.push(statement)
          return passOn(sent[0] ?? statement, { re: frame.id })
        },
      },
    })
    await daemon.start(relay)
    daemon.write({ type: "PROPOSAL", to: "@bob", task: "x", id: "p" })
    await until("the first is accepted", () => daemon.acks.length === 1)
    daemon.write({ type: "PROPOSAL", to: "@bob", task: "y", id: "q" })
    expect(await daemon.lines("REJECTED")).toMatchObject([{ id: "q", code: "VERIFICATION_FAILED" }])
    expect(daemon.acks).toMatchObject([{ id: "p" }])
  })

  it("sends a line again when the answer follows from a statement that cannot be fetched yet", async () => {
    const daemon = new DaemonHarness()
    const proposal = propose({ to: daemon.identity.did })
    let deal = openDeal(proposal)
    let lists = 0
    const relay = await FakeRelay.start({
      serverId: aud,
      answers: {
        LIST_PROPOSALS: ({ id }) => {
          // The daemon requests the first list at its start, the second when the answer does not follow.
          if (++lists === 2) return { type: "ERROR", re: id, code: "UNAVAILABLE", message: "no store" }
          const list = [{ id: proposal.id, state: "pending", statements: deal.chain, names: {} }]
          return { type: "PROPOSALS", re: id, list }
        },
        COMPLETE: (frame) => {
          if (deal.chain.length === 2) {
            const { sig: _, from: __, ...body } = frame
            const theirs = answer(deal, "COMPLETE", alice)
            deal = advanceDeal(deal, theirs)
            const own = answer(deal, "COMPLETE", daemon.identity.keyPair, {
              ...body,
              prev: deal.head,
              ts: theirs.ts,
            })
            deal = advanceDeal(deal, own)
          }
          return passOn(deal.chain.at(-1) ?? proposal, { re: frame.id })
        },
      },
    })
    deal = advanceDeal(deal, answer(deal, "ACCEPT", daemon.identity.keyPair))
    await daemon.start(relay)
    daemon.write({ type: "COMPLETE", proposal_id: proposal.id, id: "c" })
    await until("the ack", () => {
      daemon.clock.advance(100)
      daemon.sweep()
      return daemon.acks.length > 0
    })
    expect(daemon.acks).toMatchObject([{ id: "c", state: "accepted" }])
    expect(dealIn(daemon)?.chain).toHaveLength(4)
  })

  it("still fetches new statements after one dated in the far future", async () => {
    const { daemon, relay, session } = await arrange()
    await pass(session, passOn(propose({ to: to(daemon), ts: Number.MAX_SAFE_INTEGER })))
    await daemon.start(relay)
    const [{ since } = {}] = await (await relay.session(1)).received("LIST_PROPOSALS")
    expect(since).toBeLessThan(Number.MAX_SAFE_INTEGER / 2)
  })

  it("refuses changed content under a known signature", async () => {
    const { daemon, session } = await arrange()
    const proposal = propose({ to: to(daemon) })
    await pass(session, passOn(proposal))
    await pass(session, passOn({ ...proposal, payment_code: "mallory" }))
    expect(notices(daemon)).toHaveLength(1)
    expect(dealIn(daemon)?.chain).toEqual([proposal])
  })
})
