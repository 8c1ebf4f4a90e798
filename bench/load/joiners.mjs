// The process of many agents that join one channel.

import { Agent } from "../kit/agent.mjs"
import { importBuilt } from "../kit/built.mjs"
import { answer } from "../kit/children.mjs"
import { sleep, waitUntil } from "../kit/clock.mjs"

/** @typedef {typeof api} JoinersApi */

/** Joins in progress at the same time. */
const lanes = 50
const channel = "#bench"

/** @type {Agent[]} */
const agents = []
let bytes = 0

const api = {
  /** @param {{ port: number, count: number, persistent: boolean }} request */
  async connect({ port, count, persistent }) {
    const keyPairs = persistent ? await makeKeyPairs(count) : []
    await inLanes(count, async (index) => {
      const agent = await Agent.open(port, `agent-${index}`, keyPairs[index])
      countBytes(agent)
      agents[index] = agent
    })
  },
  /** Joins all agents; resolves when each has its answer and no more notices arrive. @returns bytes received meanwhile */
  async join() {
    bytes = 0
    await agents[0]?.ask({ type: "CREATE_CHANNEL", channel })
    await inLanes(agents.length - 1, async (index) => {
      await agents[index + 1]?.ask({ type: "JOIN", channel })
    })
    let seen = -1
    await waitUntil("the relay to fall silent", async () => {
      const isSilent = seen === bytes
      seen = bytes
      if (!isSilent) await sleep(500)
      return isSilent
    })
    return bytes
  },
}
answer(api)

/** @param {number} count */
async function makeKeyPairs(count) {
  const { generateKeyPair } = /** @type {typeof import("../../src/identity/signer.js")} */ (
    await importBuilt("identity/signer.js")
  )
  return Array.from({ length: count }, () => generateKeyPair())
}

/** @param {Agent} agent */
function countBytes({ stream }) {
  const { onBytes } = stream
  stream.onBytes = (chunk, length) => {
    bytes += length
    onBytes(chunk, length)
  }
}

/** @param {number} count @param {(index: number) => Promise<void>} act */
async function inLanes(count, act) {
  let next = 0
  const lane = async () => {
    while (next < count) await act(next++)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}
