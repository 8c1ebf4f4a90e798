import { defineCommand } from "../command.js"

export const doctor = defineCommand({
  args: {},
  options: {},
  takesUrl: false,
  examples: ["agentchat doctor", "agentchat doctor --json", "agentchat doctor --quiet"],
  notes: [
    "Checks Node, the home, its keys and locks, file events, the daemons, the relay, its clock and certificate, and for each",
    "coding harness: is it joined, when did a hook run last, when was a session woken? Changes nothing. Each line that is BAD",
    "or warn names its fix. Exit 1 if something is BAD; --quiet prints only that.",
  ],
  async run(context) {
    const { runDoctor } = await import("../doctor/doctor-run.js")
    return runDoctor(context)
  },
})
