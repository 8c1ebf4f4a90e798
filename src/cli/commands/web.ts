import { ensureDirectory, ensureHome, openHome } from "../../daemon/files/home.js"
import { humanRole } from "../../protocol/questions.js"
import { defineCommand, flag, value } from "../command.js"
import { port, someText } from "../input/values.js"
import { lastingIdentity } from "../relay/person-identity.js"
import { clientOptions, sessionOptions } from "../relay/session.js"
import { defaultWebPort, servePage } from "../web/open-page.js"

export const web = defineCommand({
  args: {},
  options: {
    port: value("PORT", `port of the page (default ${defaultWebPort}); 0 for any free port`, port),
    host: value("ADDRESS", "address of the page (default 127.0.0.1)", someText),
    open: flag("also open it in a browser"),
    demo: flag("show a demo instead: see agentchat demo"),
    ephemeral: flag("use a random id for this session"),
    ...sessionOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat web --open",
    "agentchat web --identity operator.json",
    "agentchat web wss://chat.example.org --identity board.json --port 0",
  ],
  notes: [
    "Prints a link that lets one browser in. The page shows who needs you, agents, channels, work and guards.",
    "With a key it can sign and answer for you: the one of `connect`, or --identity. An operator also lifts and moderates;",
    "on a closed relay an observer or admin grant is enough to look: see agentchat mint.",
  ],
  async run(context, input) {
    const { config } = context
    const { options } = input
    const where = { host: options.host ?? "127.0.0.1", port: options.port ?? defaultWebPort }
    if (options.demo) {
      const { runDemo } = await import("../web/demo.js")
      return runDemo(context, { ...where, isOpened: options.open })
    }
    const root = openHome(config.home, config.uid)
    ensureHome(root)
    ensureDirectory(root.people)
    const own = lastingIdentity(context, options)
    try {
      const choice = { url: input.url, options: { ...options, identity: options.identity ?? own?.path } }
      const client = await clientOptions(context, choice)
      const { AgentChatClient } = await import("../../client/client.js")
      const { random } = context.system
      return await servePage(context, {
        ...where,
        client: new AgentChatClient({ ...client, role: humanRole, reconnect: true, random }),
        relayUrl: client.server,
        identity: client.identity,
        name: client.name,
        isOpened: options.open,
        directory: root.people,
        positions: `${client.name}.read.json`,
      })
    } finally {
      own?.release()
    }
  },
})
