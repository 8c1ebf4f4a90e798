import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"

// The user's own settings must not reach the programs under test.
for (const name of Object.keys(process.env)) {
  if (name.startsWith("AGENTCHAT_")) Reflect.deleteProperty(process.env, name)
}

/** Tests with child processes, other programs or real disks. All other tests are unit tests. */
const e2e = ["test/e2e/**/*.test.ts", "test/**/*.e2e.test.ts"]
/** Unit tests that replace a module, which works only in a process where nothing has loaded it. */
const mock = ["test/**/*.mock.test.ts"]

/** Starts the end-to-end tests first: they are the longest, and none should be left alone at the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return [true, false].flatMap((isE2e) =>
      sorted.filter(({ project }) => (project.name === "e2e") === isE2e),
    )
  }
}

export default defineConfig({
  test: {
    // Tests use real processes and signals, which threads would share.
    pool: "forks",
    // Most tests wait for processes, so a small machine can run several files at a time.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    sequence: { sequencer: LongestFirst },
    // Tests wait for conditions, not for time; the limits allow for a loaded machine.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 45_000 } },
    restoreMocks: true,
    unstubEnvs: true,
    projects: [
      {
        extends: true,
        // Unit tests share a process per worker, which loads the program once and not for each file.
        test: { name: "unit", include: ["test/**/*.test.ts"], exclude: [...e2e, ...mock], isolate: false },
      },
      { extends: true, test: { name: "mock", include: mock } },
      { extends: true, test: { name: "e2e", include: e2e, isolate: false } },
    ],
  },
})
