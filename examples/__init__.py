"""Forecasts through the whole loop on real data: traffic on a road, energy in a plant."""
