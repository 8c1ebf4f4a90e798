import { describe, expect, it } from "vitest"
import { readDealLog } from "../../../src/daemon/deals/proposals-file.js"
import { agentIdOf } from "../../../src/identity/keys.js"
import type { Deal } from "../../../src/proposals/deal.js"
import { advanceDeal, openDeal } from "../../../src/proposals/deal.js"
import { statementMessageId } from "../../../src/proposals/statement.js"
import type { ProposalEntry } from "../../../src/protocol/server-messages.js"
import type { Statement } from "../../../src/protocol/statements.js"
import { until } from "../../kit/condition.js"
import { DaemonRoom } from "../../kit/daemon-room.js"
import { alice, aliceDid, answer, aud, carol, carolDid, propose } from "../../kit/deals.js"
import { FakeRelay, type FakeSession } from "../../kit/fake-relay.js"
import { newIdentity } from "../../kit/identity.js"

/** A statement as a relay sends it. */
function passOn(statement: Statement, changes: object = {}): object {
  return { ...statement, msg_id: statementMessageId(statement), name: "alice", state: "pending", ...changes }
}

/** Starts Bob's daemon with a fake relay that lists these chains. */
async function arrange(chains: () => readonly (readonly Statement[])[] = () => []) {
  const room = new DaemonRoom()
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
  await room.start(relay)
  await until("online", () => room.status.connected)
  return { room, relay, session: await relay.session() }
}

const to = (room: DaemonRoom) => room.identity.did
const received = (session: FakeSession) =>
  session.frames.flatMap((frame) => (frame.type === "RECEIVED" ? (frame.ids ?? []) : []))
const notices = (room: DaemonRoom) => room.inbox.filter(({ type }) => type === "NOTICE")
const dealIn = (room: DaemonRoom): Deal | undefined => readDealLog(room.paths.proposals)[0]?.deal

/** Sends a message from the relay, and waits until the daemon has confirmed it. */
async function pass(session: FakeSession, message: object): Promise<void> {
  const { msg_id } = message as { msg_id: string }
  const before = received(session).filter((id) => id === msg_id).length
  session.say(message)
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
    const { room, session } = await arrange()
    const lied = lie(propose({ to: to(room) }), to(room))
    for (let i = 0; i < 2; i++) await pass(session, passOn(lied))
    expect(notices(room)).toMatchObject([{ message: expect.stringMatching(reason) }])
    expect(dealIn(room)).toBeUndefined()
    expect(room.inbox.some(({ type }) => type === "PROPOSAL")).toBe(false)
    expect(room.log).toContain("statement refused")
  })

  it.each<[string, (deal: Deal, me: DaemonRoom) => Statement]>([
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
    const { room, session } = await arrange()
    const proposal = propose({ to: to(room) })
    await pass(session, passOn(proposal))
    const lied = lie(openDeal(proposal), room)
    await pass(session, passOn(lied))
    await pass(session, passOn(lied))
    expect(notices(room)).toHaveLength(1)
    expect(dealIn(room)).toMatchObject({ state: "pending", chain: [{ id: proposal.id }] })
    expect(room.receipts).toEqual([])
  })

  it("records a replayed deal once, also after a restart", async () => {
    const { room, relay, session } = await arrange()
    let deal = openDeal(propose({ to: to(room) }))
    deal = advanceDeal(deal, answer(deal, "ACCEPT", room.identity.keyPair))
    deal = advanceDeal(deal, answer(deal, "COMPLETE", alice))
    const replay = async (to: FakeSession) => {
      for (const statement of deal.chain) await pass(to, passOn(statement))
    }
    await replay(session)
    await replay(session)
    for (const index of [1, 2]) {
      await room.start(relay)
      await until("online", () => room.status.connected)
      await replay(await relay.session(index))
      room.sweep()
    }
    const steps = room.inbox.map(({ type }) => type).filter((type) => type !== "NOTICE")
    expect(steps).toEqual(["PROPOSAL", "ACCEPT", "COMPLETE"])
    expect(notices(room)).toEqual([])
    expect(room.receipts).toHaveLength(1)
    expect(dealIn(room)?.chain).toHaveLength(3)
  })

  it("fetches the whole deal when the relay withheld a statement", async () => {
    let chain: readonly Statement[] = []
    const { room, session } = await arrange(() => [chain])
    const proposal = propose({ to: to(room) })
    let deal = openDeal(proposal)
    await pass(session, passOn(proposal))
    deal = advanceDeal(deal, answer(deal, "ACCEPT", room.identity.keyPair))
    deal = advanceDeal(deal, answer(deal, "COMPLETE", alice))
    chain = deal.chain
    const last = deal.chain.at(-1) ?? proposal
    await pass(session, passOn(last))
    expect(room.inbox.map(({ type, state }) => `${String(type)} ${String(state)}`)).toEqual([
      "PROPOSAL pending",
      "ACCEPT accepted",
      "COMPLETE completed",
    ])
    expect(notices(room)).toEqual([])
  })

  it("accepts the valid statements before a forged one", async () => {
    let chain: readonly Statement[] = []
    const { room, relay } = await arrange(() => [chain])
    const proposal = propose({ to: to(room) })
    const deal = openDeal(proposal)
    const accept = answer(deal, "ACCEPT", room.identity.keyPair)
    chain = [proposal, { ...accept, payment_code: "mine" } as Statement]
    await room.start(relay)
    await room.lines("NOTICE")
    await room.lines("PROPOSAL")
    expect(dealIn(room)?.state).toBe("pending")
    await room.start(relay)
    await (await relay.session(2)).heard("LIST_PROPOSALS")
    await until("online", () => room.status.connected)
    expect(notices(room)).toHaveLength(1)
  })

  it("signs nothing when the relay names a key that is not the agent's", async () => {
    const mallory = newIdentity()
    const victim = newIdentity()
    const room = new DaemonRoom()
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
    await room.start(relay)
    for (const target of ["@carol", victim.agentId]) {
      room.write({ type: "PROPOSAL", to: target, task: "x", id: target.slice(1) })
      await until("the refusal", () =>
        room.inbox.some(({ id, code }) => id === target.slice(1) && code === "VERIFICATION_FAILED"),
      )
    }
    const session = await relay.session()
    expect(session.frames.some(({ type }) => type === "PROPOSAL")).toBe(false)
    expect(aliceDid).not.toBe(mallory.did)
  })

  it("rejects a line that the relay answers with a changed statement", async () => {
    const bob = newIdentity()
    const room = new DaemonRoom()
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
    await room.start(relay)
    room.write({ type: "PROPOSAL", to: "@bob", task: "x", id: "p" })
    expect(await room.lines("REJECTED")).toMatchObject([{ id: "p", code: "VERIFICATION_FAILED" }])
    expect(room.acks).toEqual([])
    expect(dealIn(room)).toBeUndefined()
  })

  it("rejects a line that the relay answers without a statement", async () => {
    const bob = newIdentity()
    const room = new DaemonRoom()
    const relay = await FakeRelay.start({
      serverId: aud,
      answers: {
        LIST_AGENTS: ({ id }) => rosterOf(bob, id),
        PROPOSAL: ({ id }) => ({ type: "PONG", re: id, ts: 1 }),
      },
    })
    await room.start(relay)
    room.write({ type: "PROPOSAL", to: "@bob", task: "x", id: "p" })
    expect(await room.lines("REJECTED")).toMatchObject([{ id: "p", code: "VERIFICATION_FAILED" }])
    expect(room.acks).toEqual([])
  })

  it("rejects a line that the relay answers with a statement of the other party under the same id", async () => {
    const { publicKey } = alice
    const room = new DaemonRoom()
    const relay = await FakeRelay.start({
      serverId: aud,
      answers: {
        LIST_AGENTS: ({ id }) => rosterOf({ agentId: agentIdOf(publicKey), did: aliceDid }, id),
        PROPOSAL: ({ id }) => passOn(propose({ id, to: room.identity.did }), { re: id }),
      },
    })
    await room.start(relay)
    room.write({ type: "PROPOSAL", to: "@bob", task: "x", id: "p" })
    expect(await room.lines("REJECTED")).toMatchObject([{ id: "p", code: "VERIFICATION_FAILED" }])
    expect(room.acks).toEqual([])
  })

  it("rejects a line that the relay answers with the statement of another line", async () => {
    const bob = newIdentity()
    const room = new DaemonRoom()
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
    await room.start(relay)
    room.write({ type: "PROPOSAL", to: "@bob", task: "x", id: "p" })
    await until("the first is accepted", () => room.acks.length === 1)
    room.write({ type: "PROPOSAL", to: "@bob", task: "y", id: "q" })
    expect(await room.lines("REJECTED")).toMatchObject([{ id: "q", code: "VERIFICATION_FAILED" }])
    expect(room.acks).toMatchObject([{ id: "p" }])
  })

  it("sends a line again when the answer follows from a statement that cannot be fetched yet", async () => {
    const room = new DaemonRoom()
    const proposal = propose({ to: room.identity.did })
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
            const own = answer(deal, "COMPLETE", room.identity.keyPair, {
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
    deal = advanceDeal(deal, answer(deal, "ACCEPT", room.identity.keyPair))
    await room.start(relay)
    room.write({ type: "COMPLETE", proposal_id: proposal.id, id: "c" })
    await until("the ack", () => {
      room.clock.advance(100)
      room.sweep()
      return room.acks.length > 0
    })
    expect(room.acks).toMatchObject([{ id: "c", state: "accepted" }])
    expect(dealIn(room)?.chain).toHaveLength(4)
  })

  it("still fetches new statements after one dated in the far future", async () => {
    const { room, relay, session } = await arrange()
    await pass(session, passOn(propose({ to: to(room), ts: Number.MAX_SAFE_INTEGER })))
    await room.start(relay)
    const [{ since } = {}] = await (await relay.session(1)).heard("LIST_PROPOSALS")
    expect(since).toBeLessThan(Number.MAX_SAFE_INTEGER / 2)
  })

  it("refuses changed content under a known signature", async () => {
    const { room, session } = await arrange()
    const proposal = propose({ to: to(room) })
    await pass(session, passOn(proposal))
    await pass(session, passOn({ ...proposal, payment_code: "mallory" }))
    expect(notices(room)).toHaveLength(1)
    expect(dealIn(room)?.chain).toEqual([proposal])
  })
})
