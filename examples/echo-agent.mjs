// Answers every direct message with its own text. Stops when it hears "stop".
// usage: node echo-agent.mjs RELAY [NAME]
import { AgentChatClient } from "agentchat"

const [server, name = "echo"] = process.argv.slice(2)
const client = new AgentChatClient({ server, name, reconnect: true })

client.on("message", async ({ from, to, content, msg_id: id, kind }) => {
  // Automatic answers get none, or two such agents would talk for ever.
  if (!to.startsWith("@") || kind === "auto") return
  await client.send(from, content, { inReplyTo: id, kind: "auto" })
  if (content === "stop") await client.disconnect()
})

const { agent_id: self } = await client.connect()
await client.setPresence("idle", "say something to me")
console.log(`${name} is ${self}`)
