#!/usr/bin/env node
// Older versions of Node.js cannot even parse the program, so nothing is imported before this check.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
if (major > 20 || (major === 20 && minor >= 19)) {
  const { main } = await import("../src/cli/main.js")
  await main()
} else {
  console.error(`agentchat: Node.js ${process.versions.node} is too old; install 20.19 or newer`)
  process.exitCode = 1
}

export {}
