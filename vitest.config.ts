import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

// Settings of the person who runs the tests must not reach the programs under test.
for (const name of Object.keys(process.env)) {
  if (name.startsWith("AGENTCHAT_")) Reflect.deleteProperty(process.env, name)
}

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Real processes and signals are under test; threads would share both.
    pool: "forks",
    // Most of them wait for processes: on a small machine two files at a time are no load.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Tests wait for conditions, not for time: the limits are for machines that do much else.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    restoreMocks: true,
    unstubEnvs: true,
  },
})
