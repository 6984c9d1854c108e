package gateway

// wantsEachPart tells whether an account gets one receipt for each part of a message
// instead of one for the whole.
func (g *Gateway) wantsEachPart(account uint32) bool {
	a := g.world.Load().byNumber[account]
	return a != nil && a.opt.Load().Receipts.PerPart
}
