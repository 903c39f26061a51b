/** The ledger's table of injected losses: `npm run bench:ledger`. Needs root; everything happens on testbeds. */
import { elsewhere, foundIn, INJECTIONS } from '../test/support/injected-losses.js'

const rows: string[][] = [['place', 'injected', 'in its row', 'elsewhere', 'residual', 'how']]
let isWrong = false
for (const { place, how, run } of INJECTIONS) {
  const { injected, ledger } = await run()
  const found = foundIn(ledger, place)
  const others = elsewhere(ledger, place).reduce((sum, { count }) => sum + count, 0)
  if (found !== injected || others !== 0 || ledger.residual !== 0 || ledger.sockets.residual !== 0) isWrong = true
  rows.push([place, String(injected), String(found), String(others), String(ledger.residual), how])
}
const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
for (const row of rows) {
  console.log(
    row
      .map((cell, column) => (column === 0 || column === 5 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
      .join('  ')
      .trimEnd(),
  )
}
process.exitCode = isWrong ? 1 : 0
