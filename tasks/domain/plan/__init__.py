"""What is fetched, in which order, and when will it be done?"""
