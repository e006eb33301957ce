select partition, "offset", action from dead_letter_handled;
