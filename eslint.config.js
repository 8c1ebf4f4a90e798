import { defineConfig, globalIgnores } from "eslint/config"
import tseslint from "typescript-eslint"

// The outside world reaches src/ as a parameter. Only these three files may touch it themselves.
const processEdges = ["src/base/clock.ts", "src/cli/main.ts", "src/daemon/process/host-main.ts"]

// Rooms that compute and never act; dependency-cruiser keeps Node's modules out of them.
const pureRooms = ["src/protocol/**", "src/guards/**"]

const passIn = "pass it in: process and console belong to the process edges"
const passClock = "pass a Clock in"
const edgeGlobals = [{ name: "process", message: passIn }]
const effectGlobals = [
  "crypto",
  "fetch",
  "performance",
  "queueMicrotask",
  "setImmediate",
  "setInterval",
  "setTimeout",
]

export default defineConfig(
  globalIgnores(["dist*/", "coverage/"]),
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      // A written default says that all the rest is meant.
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      // `const { secret, ...rest } = all` is how a property is left out.
      "@typescript-eslint/no-unused-vars": ["error", { ignoreRestSiblings: true }],
      // A number reads the same in a message however it gets there.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // `() => socket.close()` is how a callback is written here; blocks would only add lines.
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // `for (;;)` and `while (true)` are honest loops.
      "@typescript-eslint/no-unnecessary-condition": [
        "error",
        { allowConstantLoopConditions: "only-allowed-literals" },
      ],
      // `() => {}` is the callback that does nothing, and says so.
      "@typescript-eslint/no-empty-function": ["error", { allow: ["arrowFunctions"] }],
      complexity: ["error", 12],
      eqeqeq: "error",
      "max-lines": ["error", 600],
      "max-lines-per-function": ["error", 70],
      "no-empty": "error",
      "no-fallthrough": "error",
      "no-unsafe-finally": "error",
      "no-unsafe-optional-chaining": "error",
      "no-useless-catch": "error",
      "object-shorthand": "error",
    },
  },
  {
    files: ["src/**"],
    ignores: processEdges,
    rules: {
      "no-console": "error",
      "no-restricted-globals": ["error", { globals: edgeGlobals, checkGlobalObject: true }],
      "no-restricted-imports": [
        "error",
        {
          paths: ["node:process", "process", "node:console", "console"].map((name) => ({
            name,
            message: passIn,
          })),
        },
      ],
      "no-restricted-properties": [
        "error",
        { object: "Date", property: "now", message: passClock },
        { object: "Math", property: "random", message: "pass a source of chance in" },
      ],
      "no-restricted-syntax": [
        "error",
        { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: passClock },
      ],
    },
  },
  {
    files: pureRooms,
    rules: {
      "no-restricted-globals": [
        "error",
        {
          globals: [
            ...edgeGlobals,
            ...effectGlobals.map((name) => ({
              name,
              message: "this room does nothing by itself; pass it in",
            })),
          ],
          checkGlobalObject: true,
        },
      ],
    },
  },
  {
    files: ["test/**", "bench/**"],
    rules: {
      // A describe() block is one long function.
      "max-lines-per-function": "off",
      // expect.any() and its like are typed any; a wrong value fails the test anyhow.
      "@typescript-eslint/no-unsafe-assignment": "off",
    },
  },
)
