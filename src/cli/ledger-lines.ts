/** The ledger as text. Pure. */
import type { Ledger, LedgerBalance, LedgerRow } from '../index.js'
import { alignColumns, formatSeconds } from './human.js'

/** What a row does to the account, as its first column. */
const SIGN: Readonly<Record<LedgerRow['kind'], string>> = { in: '+', before: ' ', lost: '-', left: '-', delivered: '=', note: ' ' }

/** Shown when they are 0, too: a capture that got nothing got nothing. */
const ALWAYS: ReadonlySet<LedgerRow['place']> = new Set(['received', 'sent', 'delivered'])

/** The table, and below it what each interface comes to. `all` has the rows of 0 as well, and the name of each for Prometheus. */
export function ledgerLines(ledger: Ledger, all: boolean): string[] {
  const shown = ledger.rows.filter(({ place, count }) => all || count !== 0 || ALWAYS.has(place))
  const cells = shown.map(({ kind, count, label, name, source }) => [SIGN[kind], String(count), label, source, ...(all ? [name] : [])])
  const { offered, dropped, waiting, delivered, residual } = ledger.sockets
  const onTheWay = waiting === 0 ? '' : ` - ${waiting} on the way`
  return [
    `ledger of ${formatSeconds(ledger.seconds)}`,
    ...alignColumns([['', 'packets', 'where', 'source', ...(all ? ['name'] : [])], ...cells], new Set([1])),
    `sockets: ${offered} offered - ${dropped} dropped${onTheWay} - ${delivered} delivered = residual ${residual}`,
    ...ledger.interfaces.flatMap(balanceLines),
    ...ledger.unread.map(({ what, source, reason }) => `not read: ${what} (${source}): ${reason}`),
  ]
}

/** What may explain a residual is said where there is one, or where one would not be seen. */
function balanceLines({ interface: name, in: inside, lost, left, delivered, byDifference, residual, caveats }: LedgerBalance): string[] {
  const hidden = byDifference === 0 ? '' : `, ${byDifference} of those elsewhere by difference`
  const line = `${name}: ${inside} in - ${lost} lost - ${left} elsewhere - ${delivered} delivered = residual ${residual}${hidden}`
  return residual === 0 && byDifference === 0 ? [line] : [line, ...caveats.map((caveat) => `  ${caveat}`)]
}
