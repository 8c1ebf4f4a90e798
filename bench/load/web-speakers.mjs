// The agents whose messages the web page shows, in a process of their own, so that their memory is not counted as the server's.
import { importBuilt } from "../kit/built.mjs"
import { answer } from "../kit/children.mjs"

const { AgentChatClient } = /** @type {typeof import("../../src/index.js")} */ (await importBuilt("index.js"))

/** @type {import("../../src/index.js").AgentChatClient[]} */
const speakers = []

const api = {
  /** @param {{ server: string, agents: number }} load */
  connect: async ({ server, agents }) => {
    for (let n = 0; n < agents; n++) {
      const speaker = new AgentChatClient({ server, name: `agent-${n}` })
      speakers.push(speaker)
      await speaker.connect()
    }
    await speakers[0]?.join("#general")
  },
  /** Sends each text by the next agent, all at once. @param {readonly string[]} texts */
  say: async (texts) => {
    await Promise.all(texts.map(async (text, n) => speakers[n % speakers.length]?.send("#general", text)))
  },
}

/** @typedef {typeof api} SpeakersApi */

answer(api)
