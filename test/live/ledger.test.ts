/** The ledger: a loss that was made on purpose stands in its own row and in no other, and nothing is left over. */
import assert from 'node:assert/strict'
import { elsewhere, foundIn, INJECTIONS } from '../support/injected-losses.js'
import { live } from '../support/live.js'

for (const { place, how, run } of INJECTIONS) {
  live(`${place}: ${how}`, async (t) => {
    const { injected, ledger } = await run()
    const others = elsewhere(ledger, place)
    t.diagnostic(`injected ${injected}, found ${foundIn(ledger, place)}, residual ${ledger.residual}`)
    const shown = JSON.stringify(ledger.rows.filter(({ count }) => count !== 0))
    assert.ok(injected > 100, `${injected} are too few to tell`)
    assert.equal(foundIn(ledger, place), injected, shown)
    assert.deepEqual(others, [], shown)
    assert.equal(ledger.residual, 0, shown)
    assert.equal(ledger.sockets.residual, 0, shown)
    assert.equal(ledger.settled, true)
    assert.deepEqual(ledger.unread, [])
  })
}
