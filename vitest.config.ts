import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

// The user's own settings must not reach the programs under test.
for (const name of Object.keys(process.env)) {
  if (name.startsWith("AGENTCHAT_")) Reflect.deleteProperty(process.env, name)
}

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Tests use real processes and signals, which threads would share.
    pool: "forks",
    // Most tests wait for processes, so a small machine can run several files at a time.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Tests wait for conditions, not for time; the limits allow for a loaded machine.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    restoreMocks: true,
    unstubEnvs: true,
  },
})
